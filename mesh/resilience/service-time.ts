import type { Clock } from "../core/clock.ts";

/** How long the methods of a server take. */
export interface ServiceTimes {
  /** Learns how long a call ran, its wait not included. Milliseconds. */
  observe(method: string, tookMs: number): void;
  /**
   * The least time that a call must have left to be worth starting: three times what the method takes on average, and
   * at most half of `timeoutMs`, so that a caller who gives the time that the contract names is never told that it is
   * too little. 0 while too little is known. Milliseconds.
   */
  minUsefulMs(method: string, timeoutMs: number): number;
  /** The same for a call that can start at once: what the method takes on average. Milliseconds. */
  minAtOnceMs(method: string, timeoutMs: number): number;
}

// Less gives the work that deadlines cut off away (calls.md, simulation F: 10.9 % goodput; 94.6 % with this).
const FACTOR = 3;
const MIN_SAMPLES = 10;
const WEIGHT = 0.1;
const HALF_LIFE_MS = 1_000;

/**
 * Exponential averages by method. One that nobody feeds halves each second: a method whose callers are all refused must
 * get the chance to show that it is fast again.
 */
export function serviceTimes(clock: Clock): ServiceTimes {
  const known = new Map<string, { meanMs: number; count: number; atMs: number }>();

  function usualMs(method: string): number {
    const time = known.get(method);
    if (!time || time.count < MIN_SAMPLES) return 0;
    const silentMs = clock.now() - time.atMs;
    return silentMs < HALF_LIFE_MS ? time.meanMs : time.meanMs * 2 ** (-silentMs / HALF_LIFE_MS);
  }

  return {
    observe(method, tookMs) {
      const time = known.get(method);
      if (!time) {
        known.set(method, { meanMs: tookMs, count: 1, atMs: clock.now() });
        return;
      }
      time.count++;
      time.meanMs += (tookMs - time.meanMs) * Math.max(WEIGHT, 1 / time.count);
      time.atMs = clock.now();
    },
    minUsefulMs: (method, timeoutMs) => Math.min(FACTOR * usualMs(method), timeoutMs / 2),
    minAtOnceMs: (method, timeoutMs) => Math.min(usualMs(method), timeoutMs / 2),
  };
}
