import type { Clock } from "../core/clock.ts";

/** How many calls of late succeeded, failed and were slow. */
export interface Counts {
  readonly calls: number;
  readonly failures: number;
  readonly slow: number;
}

/** What happened of late. */
export interface Window {
  record(failed: boolean, slow: boolean): void;
  counts(): Counts;
  clear(): void;
}

const BUCKETS = 10;

/**
 * The calls of the last `timeMs`, in ten buckets (Resilience4j SlidingTimeWindowMetrics). It moves on by the buckets
 * that have passed, all of them: what is old is forgotten even if nothing happened in between.
 */
export function timeWindow(timeMs: number, clock: Clock): Window {
  const bucketMs = timeMs / BUCKETS;
  const calls = new Uint32Array(BUCKETS);
  const failures = new Uint32Array(BUCKETS);
  const slows = new Uint32Array(BUCKETS);
  let total = { calls: 0, failures: 0, slow: 0 };
  let tick = Math.floor(clock.now() / bucketMs);

  const clear = () => {
    calls.fill(0);
    failures.fill(0);
    slows.fill(0);
    total = { calls: 0, failures: 0, slow: 0 };
  };

  function advance(): number {
    const now = Math.floor(clock.now() / bucketMs);
    const passed = now - tick;
    if (passed > 0) {
      if (passed >= BUCKETS) clear();
      else {
        for (let t = tick + 1; t <= now; t++) {
          const old = t % BUCKETS;
          total.calls -= calls[old] ?? 0;
          total.failures -= failures[old] ?? 0;
          total.slow -= slows[old] ?? 0;
          calls[old] = failures[old] = slows[old] = 0;
        }
      }
      tick = now;
    }
    return tick % BUCKETS;
  }

  return {
    record(failed, slow) {
      const bucket = advance();
      calls[bucket] = (calls[bucket] ?? 0) + 1;
      total.calls++;
      if (failed) {
        failures[bucket] = (failures[bucket] ?? 0) + 1;
        total.failures++;
      }
      if (slow) {
        slows[bucket] = (slows[bucket] ?? 0) + 1;
        total.slow++;
      }
    },
    counts() {
      advance();
      return total;
    },
    clear,
  };
}

const FAILED = 1;
const SLOW = 2;

/** The last `size` calls, however long ago. */
export function countWindow(size: number): Window {
  const ring = new Uint8Array(size);
  let recorded = 0;
  let failures = 0;
  let slow = 0;
  return {
    record(failed, isSlow) {
      const at = recorded % size;
      const old = recorded >= size ? (ring[at] ?? 0) : 0;
      failures += Number(failed) - (old & FAILED);
      slow += Number(isSlow) - (old & SLOW ? 1 : 0);
      ring[at] = (failed ? FAILED : 0) | (isSlow ? SLOW : 0);
      recorded++;
    },
    counts: () => ({ calls: Math.min(recorded, size), failures, slow }),
    clear() {
      recorded = failures = slow = 0;
    },
  };
}
