import { describe, expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { type Gradient2Options, gradient2 } from "./limiter.ts";

/** A limiter, and a second of calls that all take so long while so many run. */
function limited(options: Gradient2Options = {}) {
  const clock = manualClock();
  const limiter = gradient2(options, clock);
  function second(rttMs: number, inflight = limiter.limit(), count = 20): number {
    for (let call = 0; call < count - 1; call++) limiter.observe({ rttMs, inflight });
    clock.advance(1_000);
    limiter.observe({ rttMs, inflight });
    return limiter.limit();
  }
  const seconds = (count: number, rttMs: number, inflight?: number) =>
    Array.from({ length: count }, () => second(rttMs, inflight));
  return { clock, limiter, second, seconds };
}

test("begins where it is told, within its bounds", () => {
  expect(limited().limiter.limit()).toBe(20);
  expect(limited({ initial: 1 }).limiter.limit()).toBe(8);
  expect(limited({ initial: 1_000 }).limiter.limit()).toBe(200);
});

test("grows by smoothing x queue each window while latency holds and it is used", () => {
  const { seconds } = limited();
  // 20 + 0.2 x 4 for each window.
  expect(seconds(5, 10)).toEqual([20, 21, 22, 23, 24]);
});

test("does not change while less than half of it is used", () => {
  const { seconds } = limited();
  expect(seconds(20, 10, 9)).toEqual(Array(20).fill(20));
});

test("does not shrink within its tolerance", () => {
  const { seconds } = limited();
  seconds(10, 10);
  const before = seconds(1, 10)[0] as number;
  expect(seconds(1, 14)[0]).toBeGreaterThanOrEqual(before);
});

test("shrinks by a tenth, less its queue, in the first window of a latency four times as long", () => {
  const { second } = limited({ initial: 100 });
  for (let n = 0; n < 10; n++) second(10, 1);
  // The usual latency has crept to 10.1; 1.5 x 10.1 / 40 is below the floor of one half: 100 x 0.8 + (50 + 4) x 0.2.
  expect(second(40)).toBe(90);
});

test("shrinks when latency doubles, to its minimum if that lasts", () => {
  const { seconds } = limited({ initial: 100 });
  seconds(10, 10, 1);
  const shrinking = seconds(3, 20);
  expect(shrinking).toEqual([...shrinking].sort((a, b) => b - a));
  expect(shrinking[2]).toBeLessThan(95);
  expect(seconds(60, 1_000).at(-1)).toBe(8);
});

test("comes back when latency does, from its minimum to where it was within 30 windows", () => {
  const { seconds } = limited();
  seconds(10, 10);
  expect(seconds(30, 1_000).at(-1)).toBe(8);
  expect(seconds(30, 10).at(-1)).toBeGreaterThanOrEqual(28);
});

test("the usual latency comes down by 5 % a window after a long overload, not in ten minutes", () => {
  const { seconds } = limited({ initial: 50 });
  seconds(10, 1_000, 1);
  // Now 10 ms are usual again; a rise to 40 ms must be seen as one.
  seconds(90, 10, 1);
  const before = seconds(1, 10, 1)[0] as number;
  expect(seconds(3, 100).at(-1)).toBeLessThan(before);
});

describe("what it does not learn from", () => {
  test("windows of less than 10 calls", () => {
    const { second, limiter } = limited();
    for (let n = 0; n < 10; n++) second(10, 20, 9);
    expect(limiter.limit()).toBe(20);
  });

  test("calls of less than 100 microseconds", () => {
    const { second, limiter } = limited();
    for (let n = 0; n < 10; n++) second(0.09, 20, 100);
    expect(limiter.limit()).toBe(20);
  });

  test("time in which nothing was called", () => {
    const { clock, second, limiter } = limited();
    clock.advance(3_600_000);
    limiter.observe({ rttMs: 10, inflight: 20 });
    expect(limiter.limit()).toBe(20);
    expect(second(10)).toBe(20);
    expect(second(10)).toBe(21);
  });
});
