import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { LazyAbort, NEVER, onAbort } from "./signal.ts";

test("what is to happen happens when the signal aborts, once", () => {
  const controller = new AbortController();
  let happened = 0;
  onAbort(controller.signal, () => happened++);
  controller.abort();
  controller.signal.dispatchEvent(new Event("abort"));
  expect(happened).toBe(1);
});

test("what is taken back does not happen", () => {
  const controller = new AbortController();
  let happened = 0;
  onAbort(controller.signal, () => happened++)();
  controller.abort();
  expect(happened).toBe(0);
});

test("nobody listens to the signal that never aborts", () => {
  const takeBack = onAbort(NEVER, () => {});
  expect(getEventListeners(NEVER, "abort")).toHaveLength(0);
  takeBack();
});

test("who asks for the signal before or after it aborted finds it aborted, with the first reason", () => {
  const early = new LazyAbort();
  const { signal } = early;
  expect(signal.aborted).toBe(false);
  early.abort("first");
  early.abort("second");
  expect([signal.aborted, signal.reason, early.signal === signal]).toEqual([true, "first", true]);

  const late = new LazyAbort();
  late.abort("first");
  late.abort("second");
  expect([late.aborted, late.reason, late.signal.aborted, late.signal.reason]).toEqual([
    true,
    "first",
    true,
    "first",
  ]);
});

test("who needs no signal is told once", () => {
  const abort = new LazyAbort();
  let told = 0;
  abort.onAbort(() => told++);
  expect(told).toBe(0);
  abort.abort("over");
  abort.abort("over");
  expect(told).toBe(1);
});
