import { expect, test } from "vitest";
import { slots } from "./slots.ts";

/** Work that ends when the test says so. */
function held() {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let hasBegun = false;
  const work = () => {
    hasBegun = true;
    return promise;
  };
  return { work, end: resolve, fail: reject, hasBegun: () => hasBegun };
}

const full = () => new Error("full");
/** Lets every promise that can go on do so. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

test("so many run, so many wait, and more are refused at once", async () => {
  const inSlot = slots({ maxRunning: 2, maxWaiting: 1, full });
  const [a, b, c, d] = [held(), held(), held(), held()];
  const running = [a, b, c].map(({ work }) => inSlot(work));
  await expect(inSlot(d.work)).rejects.toThrow("full");
  expect([a, b, c, d].map((each) => each.hasBegun())).toEqual([true, true, false, false]);
  a.end("a");
  expect(await running[0]).toBe("a");
  await settle();
  expect(c.hasBegun()).toBe(true);
  b.end("b");
  c.end("c");
  expect(await Promise.all(running)).toEqual(["a", "b", "c"]);
});

test("work that fails gives its slot back, and its failure is the caller's", async () => {
  const inSlot = slots({ maxRunning: 1, maxWaiting: 0, full });
  const a = held();
  const failed = inSlot(a.work);
  a.fail(new Error("broken"));
  await expect(failed).rejects.toThrow("broken");
  expect(await inSlot(async () => "next")).toBe("next");
});

test("those who wait are served in the order in which they came", async () => {
  const inSlot = slots({ maxRunning: 1, maxWaiting: 5, full });
  const first = held();
  const begun: number[] = [];
  const all = [inSlot(first.work), ...[1, 2, 3].map((n) => inSlot(async () => begun.push(n)))];
  first.end("");
  await Promise.all(all);
  expect(begun).toEqual([1, 2, 3]);
});

test("one who goes while waiting leaves its place to others, and never runs", async () => {
  const inSlot = slots({ maxRunning: 1, maxWaiting: 1, full });
  const [running, gone, next] = [held(), held(), held()];
  const going = new AbortController();
  const first = inSlot(running.work);
  const left = inSlot(gone.work, going.signal);
  going.abort(new Error("gone"));
  await expect(left).rejects.toThrow("gone");
  const waiting = inSlot(next.work);
  running.end("");
  await first;
  next.end("next");
  expect(await waiting).toBe("next");
  expect(gone.hasBegun()).toBe(false);
});

test("one who has gone already is not begun", async () => {
  const inSlot = slots({ maxRunning: 1, maxWaiting: 1, full });
  const { work, hasBegun } = held();
  await expect(inSlot(work, AbortSignal.abort(new Error("gone")))).rejects.toThrow("gone");
  expect(hasBegun()).toBe(false);
});
