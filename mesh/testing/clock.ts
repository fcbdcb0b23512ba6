import type { Clock } from "../core/clock.ts";

/** A clock that stands still until a test moves it. */
export interface ManualClock extends Clock {
  /** Moves time forward and wakes those whose sleep ends by then. */
  advance(byMs: number): void;
  /** Resolves once exactly so many sleep, so that a test moves time neither too early nor too late. */
  whenSleeping(count: number): Promise<void>;
}

/** A clock that begins at `startsAt`, which defaults to noon of 2026-01-01. */
export function manualClock(startsAt = new Date("2026-01-01T12:00:00Z")): ManualClock {
  let nowMs = 0;
  const sleepers = new Set<{ readonly wakeAtMs: number; readonly wake: () => void }>();
  const watchers = new Set<() => void>();
  const changed = () => {
    for (const look of [...watchers]) look();
  };

  return {
    now: () => nowMs,
    date: () => new Date(startsAt.getTime() + nowMs),
    sleep(delayMs, signal) {
      if (signal?.aborted || delayMs <= 0) return Promise.resolve();
      return new Promise((resolve) => {
        const wake = () => {
          signal?.removeEventListener("abort", wake);
          sleepers.delete(sleeper);
          changed();
          resolve();
        };
        const sleeper = { wakeAtMs: nowMs + delayMs, wake };
        signal?.addEventListener("abort", wake, { once: true });
        sleepers.add(sleeper);
        changed();
      });
    },
    after(delayMs, act) {
      const sleeper = {
        wakeAtMs: nowMs + Math.max(delayMs, 0),
        wake() {
          sleepers.delete(sleeper);
          changed();
          act();
        },
      };
      sleepers.add(sleeper);
      changed();
      return () => {
        if (sleepers.delete(sleeper)) changed();
      };
    },
    advance(byMs) {
      nowMs += byMs;
      const due = [...sleepers].filter(({ wakeAtMs }) => wakeAtMs <= nowMs);
      // In the order in which they are due; one that wakes may still cancel a later one.
      for (const each of due.sort((a, b) => a.wakeAtMs - b.wakeAtMs)) if (sleepers.has(each)) each.wake();
    },
    whenSleeping(count) {
      return new Promise((resolve) => {
        const look = () => {
          if (sleepers.size !== count) return;
          watchers.delete(look);
          resolve();
        };
        watchers.add(look);
        look();
      });
    },
  };
}
