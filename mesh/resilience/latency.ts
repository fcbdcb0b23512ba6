import type { Clock } from "../core/clock.ts";

/** The latencies of a method of late. */
export interface Latencies {
  record(tookMs: number): void;
  /** A percentile such as 0.99, in milliseconds, to within 5 percent; undefined before 100 calls. */
  percentile(p: number): number | undefined;
}

const WINDOW_MS = 60_000;
const SLICES = 6;
const MIN_CALLS = 100;
// Buckets that grow by 10 percent from 0.1 ms: a value is off by at most 5 percent, and 150 reach two minutes.
const GROWTH = Math.log(1.1);
const FIRST_MS = 0.1;
const BUCKETS = 150;

/** Counts the latencies of the last minute in buckets that grow, so that memory and cost do not depend on the load. */
export function latencies(clock: Clock): Latencies {
  const slices = Array.from({ length: SLICES }, () => new Uint32Array(BUCKETS));
  const sums = new Uint32Array(BUCKETS);
  let count = 0;
  let tick = now();
  // The answer for a percentile is kept for a while: it is asked for at each call.
  let kept: { p: number; value: number | undefined; untilMs: number } | undefined;

  function now(): number {
    return Math.floor(clock.now() / (WINDOW_MS / SLICES));
  }

  function advance(): Uint32Array {
    const to = now();
    for (let t = Math.max(tick + 1, to - SLICES + 1); t <= to; t++) {
      const old = slices[t % SLICES] as Uint32Array;
      for (let b = 0; b < BUCKETS; b++) {
        sums[b] = (sums[b] ?? 0) - (old[b] ?? 0);
        count -= old[b] ?? 0;
      }
      old.fill(0);
    }
    tick = Math.max(tick, to);
    return slices[tick % SLICES] as Uint32Array;
  }

  return {
    record(tookMs) {
      const slice = advance();
      const at =
        tookMs <= FIRST_MS ? 0 : Math.min(BUCKETS - 1, Math.ceil(Math.log(tookMs / FIRST_MS) / GROWTH));
      slice[at] = (slice[at] ?? 0) + 1;
      sums[at] = (sums[at] ?? 0) + 1;
      count++;
    },
    percentile(p) {
      const nowMs = clock.now();
      if (kept?.p === p && nowMs < kept.untilMs) return kept.value;
      advance();
      const value = count < MIN_CALLS ? undefined : valueAt(sums, Math.ceil(p * count));
      kept = { p, value, untilMs: nowMs + (value === undefined ? 0 : 1_000) };
      return value;
    },
  };
}

function valueAt(sums: Uint32Array, rank: number): number {
  let seen = 0;
  for (let b = 0; b < BUCKETS; b++) {
    seen += sums[b] ?? 0;
    // The middle of the bucket.
    if (seen >= rank) return FIRST_MS * Math.exp(GROWTH * (b - 0.5));
  }
  return FIRST_MS * Math.exp(GROWTH * BUCKETS);
}
