import type { Clock } from "../core/clock.ts";

/** How busy and how slow an endpoint is, as one caller sees it. */
export interface Load {
  /** Calls under way. */
  readonly pending: number;
  /** A call begins. The returned function ends it: how it went is told to `observe`. */
  begin(): () => void;
  /** A latency was seen, in milliseconds. */
  observe(tookMs: number): void;
  /** The endpoint failed: it counts as slow as this, in milliseconds, and recovers as time passes. */
  punish(forMs?: number): void;
  /** What another call would cost: latency times calls under way. */
  cost(): number;
  /** The latency alone, in milliseconds. */
  latencyMs(): number;
  /** Calls this once no call is under way, at once if none is; undefined takes it back. */
  onIdle(act: (() => void) | undefined): void;
}

// Finagle's, Linkerd's and go-zero's.
const TAU_MS = 10_000;
// Linkerd's load biaser: without it an endpoint that fails fast looks fast, and draws the traffic.
const PENALTY_MS = 5_000;
const MAX_PENALTY_MS = 300_000;
// "Unknown but busy" (Finagle): an endpoint that has not answered yet gets one call, not all of them.
const UNKNOWN_MS = 1e12;

/**
 * The peak-EWMA load of Finagle and Linkerd: a latency above the average counts at once, one below it slowly, and the
 * average fades with time, so that an endpoint which was slow is tried again.
 */
export function peakEwma(clock: Clock): Load {
  let pending = 0;
  let averageMs = 0;
  let stampMs = clock.now();
  let whenIdle: (() => void) | undefined;

  const faded = (nowMs: number) => averageMs * Math.exp(-(nowMs - stampMs) / TAU_MS);

  function observe(tookMs: number): void {
    const nowMs = clock.now();
    const current = faded(nowMs);
    const weight = 1 - Math.exp(-(nowMs - stampMs) / TAU_MS);
    averageMs = tookMs > current ? tookMs : current + (tookMs - current) * weight;
    stampMs = nowMs;
  }

  return {
    get pending() {
      return pending;
    },
    begin() {
      pending++;
      let isOver = false;
      return () => {
        if (isOver) return;
        isOver = true;
        pending--;
        if (pending === 0) whenIdle?.();
      };
    },
    observe,
    punish(forMs = PENALTY_MS) {
      observe(Math.min(MAX_PENALTY_MS, Math.max(PENALTY_MS, forMs)));
    },
    cost() {
      if (averageMs === 0) return pending === 0 ? 0 : UNKNOWN_MS + pending;
      return faded(clock.now()) * (pending + 1);
    },
    latencyMs: () => faded(clock.now()),
    onIdle(act) {
      whenIdle = act;
      if (pending === 0) act?.();
    },
  };
}
