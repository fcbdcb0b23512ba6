import { expect, test } from "vitest";
import { UnreadBytes } from "./unread-bytes.ts";

/** Takes so many bytes, as text. */
function taken(unread: UnreadBytes, count: number): string {
  let text = "";
  unread.take((bytes, start, end) => {
    const to = Math.min(end, start + count);
    text = bytes.toString("latin1", start, to);
    return to;
  });
  return text;
}

const push = (unread: UnreadBytes, text: string) => {
  const chunk = Buffer.from(`<${text}>`, "latin1");
  unread.push(chunk, 1, chunk.length - 1);
  chunk.fill(0);
};

test("bytes come out in their order, however they are pushed and taken", () => {
  const unread = new UnreadBytes();
  push(unread, "abc");
  push(unread, "defg");
  expect(unread.length).toBe(7);
  expect(taken(unread, 2)).toBe("ab");
  push(unread, "hijklmnop");
  expect(taken(unread, 6)).toBe("cdefgh");
  expect(taken(unread, 100)).toBe("ijklmnop");
  expect(unread.length).toBe(0);
});

test("what was taken stays as it is when more comes", () => {
  const unread = new UnreadBytes();
  push(unread, "first");
  let view: Uint8Array = Buffer.alloc(0);
  unread.take((bytes, start) => {
    view = bytes.subarray(start, start + 3);
    return start + 3;
  });
  for (let i = 0; i < 1_000; i++) push(unread, "xxxxxxxxxxxxxxxxxxxx");
  expect(Buffer.from(view).toString()).toBe("fir");
  expect(taken(unread, 2)).toBe("st");
});

test("what is cleared is gone", () => {
  const unread = new UnreadBytes();
  push(unread, "abc");
  unread.clear();
  expect(unread.length).toBe(0);
  push(unread, "d");
  expect(taken(unread, 9)).toBe("d");
});
