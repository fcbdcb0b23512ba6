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

// Nobody publishes vectors of Gradient2. What Netflix's VegasLimitTest asks of a limiter holds of this one too: growth and
// that of a large limit, no change within thresholds, shrinking, with smoothing and without. Its tests of partitions do not
// apply: criticalities have ceilings here, no parts of their own.
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

test("grows by the queue that it is told, up to its maximum and no further", () => {
  const { seconds } = limited({ initial: 190, queue: 20 });
  expect(seconds(4, 10)).toEqual([194, 198, 200, 200]);
});

test("grows from a large limit as from a small one", () => {
  const { seconds } = limited({ initial: 10_000, max: 20_000 });
  expect(seconds(4, 10)).toEqual([10_000, 10_001, 10_002, 10_003]);
});

test("does not change while less than half of it is used", () => {
  const { seconds } = limited();
  expect(seconds(20, 10, 9)).toEqual(Array(20).fill(20));
});

test("is used if half of it was, at any one time in the window", () => {
  const { seconds, second, limiter } = limited();
  // 20.8 from now on: ten are not half of it.
  expect(seconds(3, 10, 10)).toEqual([20, 20, 20]);
  limiter.observe({ rttMs: 10, inflight: 11 });
  expect(second(10, 1)).toBe(21);
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

test("shrinks no faster, however long calls take: a gradient is never less than a half", () => {
  const after = (rttMs: number) => {
    const { second } = limited({ initial: 100 });
    for (let n = 0; n < 10; n++) second(10, 1);
    return second(rttMs);
  };
  expect(after(40_000)).toBe(after(40));
  expect(after(20)).toBeGreaterThan(after(40));
});

test("with smoothing shrinks by a part of the way, ever less; without by all of it at once", () => {
  const after = (smoothing: number) => {
    const { second, seconds } = limited({ initial: 100, smoothing, queue: 0 });
    for (let n = 0; n < 10; n++) second(10, 1);
    return seconds(3, 400);
  };
  // A half of the way to a half: 100 x 0.75, x 0.75, x 0.75.
  expect(after(0.5)).toEqual([75, 56, 42]);
  expect(after(1)).toEqual([50, 25, 12]);
});

test("shrinks only beyond the tolerance that it is told", () => {
  const after = (tolerance: number) => {
    const { second } = limited({ initial: 100, tolerance });
    for (let n = 0; n < 10; n++) second(10, 1);
    return second(25);
  };
  expect(after(1.5)).toBeLessThan(100);
  expect(after(3)).toBe(100);
});

test("goes by the mean of its window: a few long calls among many short ones are within its tolerance", () => {
  const after = (long: number) => {
    const { limiter, second } = limited({ initial: 100 });
    for (let n = 0; n < 10; n++) second(10, 1);
    for (let call = 0; call < long; call++) limiter.observe({ rttMs: 100, inflight: 100 });
    return second(10, 100, 20 - long);
  };
  expect(after(1)).toBe(100);
  // A mean of 28.
  expect(after(4)).toBeLessThan(95);
  const { second } = limited();
  // Twice as many calls take no longer.
  expect([second(10, 20, 40), second(10, 20, 40)]).toEqual([20, 21]);
  for (let n = 0; n < 10; n++) second(10, 1, 40);
  expect(second(14, 21, 80)).toBe(22);
});

test("shrinks when latency doubles, to its minimum if that lasts", () => {
  const { seconds } = limited({ initial: 100 });
  seconds(10, 10, 1);
  const shrinking = seconds(3, 20);
  expect(shrinking).toEqual([...shrinking].sort((a, b) => b - a));
  expect(shrinking[2]).toBeLessThan(95);
  expect(seconds(60, 1_000).at(-1)).toBe(8);
});

test("shrinks to the minimum that it is told and no further", () => {
  const { seconds } = limited({ min: 12 });
  seconds(10, 10);
  expect(seconds(60, 1_000).at(-1)).toBe(12);
});

test("takes for usual the mean of its first ten windows, and then forgets as slowly as it is told", () => {
  const after = (usualMs: readonly number[], nowMs: number, longWindow?: number) => {
    const { second } = limited({ initial: 100, ...(longWindow !== undefined && { longWindow }) });
    for (const each of usualMs) second(each, 1);
    return second(nowMs);
  };
  // The mean of 10, 10 and 40 is 20; 1.5 x 20 / 40: 100 x 0.8 + (75 + 4) x 0.2.
  expect(after([10, 10], 40)).toBe(95);
  // Of 17.5, which is half of the way from 10 to 25, that is within the tolerance.
  expect(after(Array(10).fill(10), 25, 3)).toBe(100);
  expect(after(Array(10).fill(10), 25)).toBe(92);
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

test("does not hurry so for a latency that is down by less than half: that is no end of an overload", () => {
  const { seconds } = limited({ initial: 50 });
  seconds(10, 15, 1);
  seconds(20, 10, 1);
  // Still about 15, so that 21 are within the tolerance.
  expect(seconds(1, 21)[0]).toBe(50);
});

describe("what it does not learn from", () => {
  test("windows of less than 10 calls", () => {
    const { second, limiter } = limited();
    for (let n = 0; n < 10; n++) second(10, 20, 9);
    expect(limiter.limit()).toBe(20);
  });

  test("a window that is not over", () => {
    const { clock, limiter } = limited();
    limiter.observe({ rttMs: 10, inflight: 20 });
    clock.advance(999);
    for (let n = 0; n < 100; n++) limiter.observe({ rttMs: 10, inflight: 20 });
    expect(limiter.limit()).toBe(20);
    clock.advance(1);
    for (let n = 0; n < 2; n++) limiter.observe({ rttMs: 10, inflight: 20 });
    clock.advance(1_000);
    limiter.observe({ rttMs: 10, inflight: 20 });
    // The first window told: 20.8. The second one, of two calls, did not.
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
