import { getEventListeners } from "node:events";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { MAX_TIMER_MS, systemClock } from "./clock.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("sleeps as long as it is told, and no shorter", async () => {
  let isAwake = false;
  const slept = systemClock.sleep(1_000).then(() => {
    isAwake = true;
  });
  await vi.advanceTimersByTimeAsync(999);
  expect(isAwake).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  await slept;
});

test("wakes when its signal aborts, and leaves neither timer nor listener behind", async () => {
  const controller = new AbortController();
  const slept = systemClock.sleep(1_000, controller.signal);
  controller.abort();
  await slept;
  expect(vi.getTimerCount()).toBe(0);
  expect(getEventListeners(controller.signal, "abort")).toEqual([]);
});

test("does not fall asleep once its signal has aborted", async () => {
  await systemClock.sleep(1_000, AbortSignal.abort());
  expect(vi.getTimerCount()).toBe(0);
});

test("lets go of its signal when it wakes by itself", async () => {
  const { signal } = new AbortController();
  const slept = systemClock.sleep(5, signal);
  await vi.advanceTimersByTimeAsync(5);
  await slept;
  expect(getEventListeners(signal, "abort")).toEqual([]);
});

test("a sleep longer than a timer can keep is long, not short", async () => {
  const slept = systemClock.sleep(Number.POSITIVE_INFINITY);
  await vi.advanceTimersByTimeAsync(MAX_TIMER_MS - 1);
  expect(vi.getTimerCount()).toBe(1);
  await vi.advanceTimersByTimeAsync(1);
  await slept;
});
