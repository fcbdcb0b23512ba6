import type { Clock } from "../../core/clock.ts";
import { eventQueue } from "./event-queue.ts";

/** A clock that jumps from one event to the next. */
export interface VirtualClock extends Clock {
  /**
   * Lets time pass. Between two events every promise that can go on goes on, so that what runs by this clock alone runs
   * the same way each time.
   */
  runUntil(untilMs: number): Promise<void>;
}

// So often the event loop gets its turn, so that a long simulation does not look like one that hangs.
const STEPS_PER_TURN = 2_000;

/** A clock that begins at 0, on 2026-01-01. */
export function virtualClock(): VirtualClock {
  const startsAt = Date.UTC(2026, 0, 1);
  const events = eventQueue();
  let nowMs = 0;

  function after(delayMs: number, act: () => void): () => void {
    const event = events.plan(nowMs + Math.max(0, delayMs), act);
    return () => {
      event.act = undefined;
    };
  }

  return {
    now: () => nowMs,
    date: () => new Date(startsAt + nowMs),
    after,
    sleep(delayMs, signal) {
      if (signal?.aborted || delayMs <= 0) return Promise.resolve();
      return new Promise((resolve) => {
        const wake = () => {
          cancel();
          signal?.removeEventListener("abort", wake);
          resolve();
        };
        const cancel = after(delayMs, wake);
        signal?.addEventListener("abort", wake, { once: true });
      });
    },
    async runUntil(untilMs) {
      for (let step = 0; ; step++) {
        await (step % STEPS_PER_TURN === 0 ? turn() : settled());
        const event = events.next(untilMs);
        if (!event) break;
        nowMs = event.atMs;
        event.act?.();
      }
      nowMs = Math.max(nowMs, untilMs);
    },
  };
}

/** Resolves once no promise can go on: Node runs a tick that a promise planned after all promises. */
function settled(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
