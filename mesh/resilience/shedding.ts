import type { Clock } from "../core/clock.ts";

// Without a refusal for so long an episode of shedding is over.
const QUIET_MS = 1_000;
// After so long callers are not asked back: where nothing gets better, retries make it worse.
const HOPELESS_MS = 10_000;
const MIN_MS = 50;
const MAX_MS = 2_000;

/** How long a server has been refusing calls, and when it asks their callers back. */
export function shedding(clock: Clock, random: () => number) {
  let sinceMs = Number.NEGATIVE_INFINITY;
  let lastMs = Number.NEGATIVE_INFINITY;
  const lastsMs = () => (clock.now() - lastMs <= QUIET_MS ? clock.now() - sinceMs : 0);
  return {
    /** Notes a refusal. */
    note(): void {
      const nowMs = clock.now();
      if (nowMs - lastMs > QUIET_MS) sinceMs = nowMs;
      lastMs = nowMs;
    },
    /** Since the first refusal of this episode; 0 if there is none. Milliseconds. */
    lastsMs,
    /** For `grpc-retry-pushback-ms`: about the delay, spread so that callers do not come back together; -1 for never. */
    pushbackMs(delayMs: number): number {
      if (lastsMs() > HOPELESS_MS) return -1;
      return Math.round((0.5 + random()) * Math.min(Math.max(delayMs, MIN_MS), MAX_MS));
    },
  };
}
