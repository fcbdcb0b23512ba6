import { expect, test } from "vitest";
import { HeaderBlock } from "./header-block.ts";

test("parts are put together, and keep nothing of their chunks", () => {
  const block = new HeaderBlock(3, true, -1, 6);
  const chunk = Buffer.from("xabcx");
  block.push(chunk, 1, 4);
  chunk.fill(0);
  block.push(Buffer.from("def"), 0, 3);
  expect(String(block.whole())).toBe("abcdef");
});

test("a block that is too much ends the connection", () => {
  const block = new HeaderBlock(3, true, -1, 6);
  block.push(Buffer.from("abcdef"), 0, 6);
  expect(() => block.push(Buffer.from("g"), 0, 1)).toThrow(
    "ENHANCE_YOUR_CALM: a block of headers without end",
  );
});
