import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { atEnd } from "../../testing/at-end.ts";
import { manualClock } from "../../testing/clock.ts";
import { watchLoopDelay } from "./loop-delay.ts";

const LONG_TURN_MS = 400;

/** Keeps the event loop for itself. */
function hold(forMs: number): void {
  const until = performance.now() + forMs;
  while (performance.now() < until);
}

/** What is measured after a second, of which each quarter has a long turn or not. */
async function measured(...quarters: readonly boolean[]): Promise<number> {
  const clock = manualClock();
  const watch = watchLoopDelay(clock);
  atEnd(async () => watch.stop());
  let delayMs = 0;
  for (const isLong of quarters) {
    // The histogram counts from one tick of its timer to the next: one before, and one after.
    await pause(40);
    if (isLong) hold(LONG_TURN_MS);
    await pause(40);
    clock.advance(250);
    delayMs = watch.delayMs();
  }
  return delayMs;
}

test("an event loop that is late for a whole second is late by its worst turns", async () => {
  expect(await measured(true, true, true, true)).toBeGreaterThan(LONG_TURN_MS / 2);
});

test("one long turn is no overload", async () => {
  expect(await measured(false, true, false, false)).toBeLessThan(LONG_TURN_MS / 2);
});
