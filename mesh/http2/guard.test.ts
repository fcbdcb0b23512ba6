import { expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { ALLOWANCES, type Guard, Guards } from "./guard.ts";

function allowed(guards: Guards, guard: Guard, tries = 10_000): number {
  let count = 0;
  while (count < tries && guards.allows(guard)) count++;
  return count;
}

test("so much at once is allowed, then so much in each second, and never more than at once", () => {
  const clock = manualClock();
  const guards = new Guards({ PINGS: { burst: 10, perSecond: 4 } }, clock);
  expect(allowed(guards, "PINGS")).toBe(10);
  clock.advance(500);
  expect(allowed(guards, "PINGS")).toBe(2);
  clock.advance(3_600_000);
  expect(allowed(guards, "PINGS")).toBe(10);
});

test("each is counted by itself, and what is not given has its default", () => {
  const guards = new Guards({ PINGS: { burst: 1, perSecond: 0 } }, manualClock());
  expect(allowed(guards, "PINGS")).toBe(1);
  expect(allowed(guards, "RESETS")).toBe(ALLOWANCES.RESETS.burst);
  expect(allowed(guards, "FAULTS")).toBe(ALLOWANCES.FAULTS.burst);
});
