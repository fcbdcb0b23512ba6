import fc from "fast-check";
import { expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { type Counts, countWindow, timeWindow } from "./window.ts";

interface Noted {
  readonly atMs: number;
  readonly failed: boolean;
  readonly slow: boolean;
}

function recount(calls: readonly Noted[]): Counts {
  return {
    calls: calls.length,
    failures: calls.filter(({ failed }) => failed).length,
    slow: calls.filter(({ slow }) => slow).length,
  };
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ failed: fc.boolean(), slow: fc.boolean() }) },
  {
    weight: 5,
    arbitrary: fc.record({
      passMs: fc.oneof(fc.nat(60), fc.nat(2_000), fc.double({ min: 0, max: 300, noNaN: true })),
    }),
  },
  { weight: 1, arbitrary: fc.constant("clear" as const) },
);
const steps = fc.array(step, { maxLength: 150, size: "max" });

test("a window of time holds what a recount of its ten buckets finds, and so its time to within a tenth", () => {
  fc.assert(
    fc.property(steps, fc.integer({ min: 10, max: 3_000 }), fc.nat(100_000), (steps, timeMs, startMs) => {
      const clock = manualClock();
      clock.advance(startMs);
      const window = timeWindow(timeMs, clock);
      let noted: Noted[] = [];
      for (const each of steps) {
        if (each === "clear") {
          window.clear();
          noted = [];
        } else if ("passMs" in each) clock.advance(each.passMs);
        else {
          window.record(each.failed, each.slow);
          noted.push({ atMs: clock.now(), ...each });
        }
        const bucket = (atMs: number) => Math.floor(atMs / (timeMs / 10));
        const present = bucket(clock.now());
        expect(window.counts()).toEqual(recount(noted.filter(({ atMs }) => bucket(atMs) > present - 10)));
        const within = (ms: number) => noted.filter(({ atMs }) => clock.now() - atMs < ms).length;
        expect(window.counts().calls).toBeGreaterThanOrEqual(within(timeMs * 0.9 - 1e-6));
        expect(window.counts().calls).toBeLessThanOrEqual(within(timeMs + 1e-6));
      }
    }),
  );
});

test("a window of calls holds what a recount of the last ones finds", () => {
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 20 }), (steps, size) => {
      const window = countWindow(size);
      let noted: Noted[] = [];
      for (const each of steps) {
        if (each === "clear") {
          window.clear();
          noted = [];
        } else if ("failed" in each) {
          window.record(each.failed, each.slow);
          noted.push({ atMs: 0, ...each });
        }
        expect(window.counts()).toEqual(recount(noted.slice(-size)));
      }
    }),
  );
});
