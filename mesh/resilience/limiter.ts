import type { Clock } from "../core/clock.ts";

/** A call that is over, as a limiter sees it. */
export interface Sample {
  /** From when it asked to be admitted until it was answered, its wait included. Milliseconds. */
  readonly rttMs: number;
  /** How many ran when it was admitted, itself among them. */
  readonly inflight: number;
}

/** Finds out how many calls may run at a time. */
export interface Limiter {
  /** The present limit, a whole number. */
  limit(): number;
  /** Learns from a call that is over. */
  observe(sample: Sample): void;
}

/** What `gradient2` may be told. */
export interface Gradient2Options {
  /** Defaults to 20. */
  readonly initial?: number;
  /** Never less than this. Defaults to 8: a single thread has no use for Netflix's 20. */
  readonly min?: number;
  /** Never more than this. Defaults to 200. */
  readonly max?: number;
  /** How much of a new estimate is taken over at once. Defaults to 0.2. */
  readonly smoothing?: number;
  /** By how much the limit may grow while latencies hold. Defaults to 4. */
  readonly queue?: number;
  /** How much longer than usual calls may take before the limit shrinks. Defaults to 1.5 times. */
  readonly tolerance?: number;
  /** How many windows the usual latency looks back. Defaults to 600. */
  readonly longWindow?: number;
  /** Milliseconds. Defaults to 1,000. */
  readonly windowMs?: number;
  /** A window with fewer calls says nothing. Defaults to 10. */
  readonly minSamples?: number;
  /** Shorter calls are no work. Milliseconds. Defaults to 0.1. */
  readonly minRttMs?: number;
}

const WARM_UP_WINDOWS = 10;

/**
 * A limiter that compares how long calls take now with how long they usually take: the limit grows slowly while the two
 * agree and it is used, and shrinks by at most half of a window's share when calls get slower. Netflix
 * concurrency-limits, Gradient2Limit within a WindowedLimit.
 */
export function gradient2(options: Gradient2Options, clock: Clock): Limiter {
  const { initial = 20, min = 8, max = 200, smoothing = 0.2, queue = 4, tolerance = 1.5 } = options;
  const { longWindow = 600, windowMs = 1_000, minSamples = 10, minRttMs = 0.1 } = options;
  const usual = slowAverage(longWindow);
  let estimate = Math.min(Math.max(initial, min), max);
  let window = { count: 0, sumMs: 0, maxInflight: 0, closesAtMs: 0 };

  function update(nowMs: number, maxInflight: number): void {
    const usualMs = usual.add(nowMs);
    // After a long overload the usual is too high; nobody should wait ten minutes for it to come down.
    if (usualMs / nowMs > 2) usual.scale(0.95);
    // What is not used says nothing about what could be.
    if (maxInflight < estimate / 2) return;
    const gradient = Math.min(Math.max((tolerance * usualMs) / nowMs, 0.5), 1);
    const next = estimate * (1 - smoothing) + (estimate * gradient + queue) * smoothing;
    estimate = Math.min(Math.max(next, min), max);
  }

  return {
    limit: () => Math.floor(estimate),
    observe({ rttMs, inflight }) {
      if (rttMs < minRttMs) return;
      const nowMs = clock.now();
      if (window.count === 0) window.closesAtMs = nowMs + windowMs;
      window.count++;
      window.sumMs += rttMs;
      window.maxInflight = Math.max(window.maxInflight, inflight);
      if (nowMs < window.closesAtMs) return;
      const { count, sumMs, maxInflight } = window;
      window = { count: 0, sumMs: 0, maxInflight: 0, closesAtMs: 0 };
      if (count >= minSamples) update(sumMs / count, maxInflight);
    },
  };
}

/** A plain mean at first, so that it knows something at once; then one that forgets exponentially. */
function slowAverage(window: number) {
  let value = 0;
  let count = 0;
  return {
    add(sample: number): number {
      count++;
      const weight = count <= WARM_UP_WINDOWS ? 1 / count : 2 / (window + 1);
      value += (sample - value) * weight;
      return value;
    },
    scale(by: number): void {
      value *= by;
    },
  };
}
