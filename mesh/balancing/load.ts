import type { Clock } from "../core/clock.ts";

/** How busy and how slow an endpoint is, as one caller sees it. */
export interface Load {
  /** Calls under way. */
  readonly pending: number;
  /** A call begins. The returned function ends it: how it went is told to `observe`. */
  begin(): () => void;
  /** An answer came after so long, in milliseconds: whatever failed before, it works. */
  observe(tookMs: number): void;
  /** An attempt was given up after so long: it would have taken longer, which forgives nothing. */
  exceed(tookMs: number): void;
  /** An attempt was given up for one elsewhere that was faster: nobody knows how long it would have taken. */
  lose(tookMs: number): void;
  /** The endpoint failed: it counts as slow as this, in milliseconds, until it answers or time has passed. */
  punish(forMs?: number): void;
  /** What another call would cost: latency times calls under way. */
  cost(): number;
  /** True if it failed when it was last asked, and should be asked again by one call, whatever it costs. */
  isDue(): boolean;
  /** The latency alone, in milliseconds, a punishment included. */
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
// As a breaker's probes, from the first failure on: a punishment alone fades in a minute, and hides that it is over.
const FIRST_TRY_MS = 1_000;
const LAST_TRY_MS = 60_000;
const TRY_JITTER = 0.5;

/**
 * The peak-EWMA load of Finagle and Linkerd: a latency above the average counts at once, one below it slowly, and the
 * average fades with time, so that an endpoint which was slow is tried again. `random` is from 0 to below 1.
 */
export function peakEwma(clock: Clock, random: () => number = Math.random): Load {
  let pending = 0;
  const latency = fading(clock);
  const penalty = fading(clock);
  // Spent on attempts that lost, since the last one that was answered.
  let lostMs = 0;
  let failures = 0;
  let dueAtMs = Number.POSITIVE_INFINITY;
  let whenIdle: (() => void) | undefined;

  const latencyMs = () => Math.max(latency.value(), penalty.value());

  function tryAgain(notWithinMs: number): void {
    const waitMs = Math.min(LAST_TRY_MS, FIRST_TRY_MS * 2 ** (failures - 1)) * (1 + TRY_JITTER * random());
    dueAtMs = clock.now() + Math.max(waitMs, notWithinMs);
  }
  const isDue = () => clock.now() >= dueAtMs;

  return {
    get pending() {
      return pending;
    },
    begin() {
      pending++;
      // One call tries it, and the others wait for what becomes of that.
      if (isDue()) tryAgain(0);
      let isOver = false;
      return () => {
        if (isOver) return;
        isOver = true;
        pending--;
        if (pending === 0) whenIdle?.();
      };
    },
    observe(tookMs) {
      lostMs = 0;
      failures = 0;
      dueAtMs = Number.POSITIVE_INFINITY;
      penalty.clear();
      latency.peak(tookMs);
    },
    exceed(tookMs) {
      if (tookMs > latency.value()) latency.peak(tookMs);
    },
    /**
     * The latency of an endpoint whose attempts always lose is unknown, not short: all the time that was spent there
     * without an answer is what an answer takes at least (Epstein and Sobel, "Life Testing": time on test by failures).
     */
    lose(tookMs) {
      lostMs += tookMs;
      if (lostMs > latency.value()) latency.peak(lostMs);
    },
    punish(forMs = 0) {
      failures++;
      // Who asks to be left alone for longer is.
      tryAgain(forMs > PENALTY_MS ? forMs : 0);
      penalty.peak(Math.min(MAX_PENALTY_MS, Math.max(PENALTY_MS, forMs)));
    },
    cost() {
      const ms = latencyMs();
      if (ms === 0) return pending === 0 ? 0 : UNKNOWN_MS + pending;
      return ms * (pending + 1);
    },
    isDue,
    latencyMs,
    onIdle(act) {
      whenIdle = act;
      if (pending === 0) act?.();
    },
  };
}

/** An average that takes what is above it at once and what is below it slowly, and fades. */
function fading(clock: Clock) {
  let averageMs = 0;
  let stampMs = clock.now();
  const value = () => averageMs * Math.exp(-(clock.now() - stampMs) / TAU_MS);
  return {
    value,
    peak(ms: number): void {
      const nowMs = clock.now();
      const current = value();
      const weight = 1 - Math.exp(-(nowMs - stampMs) / TAU_MS);
      averageMs = ms > current ? ms : current + (ms - current) * weight;
      stampMs = nowMs;
    },
    clear(): void {
      averageMs = 0;
    },
  };
}
