import fc from "fast-check";
import { expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { type RetryGate, retryBudget, retryGate, retryThrottle } from "./retry-gate.ts";

function budget({ ratio = 0.2, minPerSecond = 0, ttlMs = 10_000 } = {}) {
  const clock = manualClock();
  return { clock, gate: retryBudget({ ratio, minPerSecond, ttlMs }, clock) };
}
const deposits = (gate: RetryGate, count: number, share?: number) => {
  for (let n = 0; n < count; n++) gate.deposit(share);
};
/** How many retries the gate lets calls make that retry once each. */
const withdrawals = (gate: RetryGate, tries: number) =>
  Array.from({ length: tries }, () => gate.tryWithdraw(0)).filter(Boolean).length;

test("a budget lets through a fifth of the calls, and no more", () => {
  const { gate } = budget();
  deposits(gate, 100);
  expect(gate.balance()).toBeCloseTo(20, 9);
  expect(withdrawals(gate, 1_000)).toBe(20);
});

test("less than one whole retry is none", () => {
  const { gate } = budget();
  deposits(gate, 4);
  expect(gate.tryWithdraw(0)).toBe(false);
  deposits(gate, 1);
  expect(gate.tryWithdraw(0)).toBe(true);
});

test("who calls seldom has the floor: a tenth of a retry a second, one in ten seconds", () => {
  const { clock, gate } = budget({ minPerSecond: 0.1 });
  expect(withdrawals(gate, 10)).toBe(1);
  clock.advance(9_999);
  expect(withdrawals(gate, 10)).toBe(0);
  clock.advance(1);
  expect(withdrawals(gate, 10)).toBe(1);
});

test("a call counts for the ten slots of its window, and is then forgotten", () => {
  const { clock, gate } = budget();
  deposits(gate, 10);
  clock.advance(9_999);
  expect(gate.balance()).toBeCloseTo(2, 9);
  clock.advance(1);
  expect(gate.balance()).toBe(0);
});

test("each slot is forgotten by itself", () => {
  const { clock, gate } = budget();
  const balances: number[] = [];
  for (let second = 0; second < 20; second++) {
    if (second < 10) deposits(gate, 5);
    balances.push(Math.round(gate.balance()));
    clock.advance(1_000);
  }
  expect(balances).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
});

test("after an hour in which nothing was called nothing is left (B15)", () => {
  const { clock, gate } = budget();
  deposits(gate, 1_000);
  clock.advance(3_600_000);
  expect(gate.balance()).toBe(0);
  // It is not an old slot that comes back either.
  clock.advance(500);
  deposits(gate, 5);
  expect(gate.balance()).toBeCloseTo(1, 9);
});

test("what was spent is forgotten with the slot in which it was", () => {
  const { clock, gate } = budget();
  deposits(gate, 50);
  clock.advance(5_000);
  expect(withdrawals(gate, 100)).toBe(10);
  clock.advance(5_000);
  // The calls are gone; that their retries were made is still known, so that a new call pays for them.
  deposits(gate, 5);
  expect(gate.balance()).toBeCloseTo(-9, 9);
  expect(gate.tryWithdraw(0)).toBe(false);
  clock.advance(5_000);
  expect(gate.balance()).toBeCloseTo(1, 9);
});

test("one call takes a fifth of what is there at most, and always may take one", () => {
  const { gate } = budget();
  deposits(gate, 50);
  // Of 10 that are two; of the 9 that the first left, two still; of 8 too.
  expect(gate.tryWithdraw(0)).toBe(true);
  expect(gate.tryWithdraw(1)).toBe(true);
  expect(gate.tryWithdraw(2)).toBe(false);
  expect(gate.tryWithdraw(0)).toBe(true);
});

test("a call of a caller that itself retries counts half", () => {
  const { gate } = budget();
  deposits(gate, 10, 0.5);
  expect(gate.balance()).toBeCloseTo(1, 9);
});

test("whatever happens, retries are the ratio of the window's calls and the floor at most", () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.constant("call" as const) },
    { weight: 4, arbitrary: fc.constant("retry" as const) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 4_000 }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const { clock, gate } = budget({ minPerSecond: 0.1 });
      const calls: number[] = [];
      const retries: number[] = [];
      const slotOf = (ms: number) => Math.floor(ms / 1_000);
      for (const each of steps) {
        if (each === "call") {
          gate.deposit();
          calls.push(clock.now());
        } else if (each === "retry") {
          if (gate.tryWithdraw(0)) retries.push(clock.now());
        } else clock.advance(each);
        const inWindow = (atMs: number) => slotOf(atMs) > slotOf(clock.now()) - 10;
        const most = 0.2 * calls.filter(inWindow).length + 1;
        if (each === "retry" && retries.at(-1) === clock.now())
          expect(retries.filter(inWindow).length).toBeLessThanOrEqual(most + 1e-9);
      }
    }),
  );
});

/** Calls that all fail, with up to so many attempts each; how many attempts were made. */
function attemptsOfFailing(gate: RetryGate, calls: number, maxAttempts: number): number {
  let attempts = 0;
  for (let call = 0; call < calls; call++) {
    gate.deposit();
    for (let taken = 0; ; taken++) {
      attempts++;
      gate.ended(true);
      if (taken + 1 >= maxAttempts || !gate.tryWithdraw(taken)) break;
    }
  }
  return attempts;
}

test("a throttle of 10 tokens lets 300 calls that all fail make 303 attempts (R3)", () => {
  // After four failures the bucket is at 6, above its half; the fifth makes it 5.
  expect(attemptsOfFailing(retryThrottle({ maxTokens: 10, tokenRatio: 0.1 }), 300, 4)).toBe(300 + 4 - 1);
});

test("a throttle lets calls that all fail add half its tokens at most (R3)", () => {
  const attempts = attemptsOfFailing(retryThrottle({ maxTokens: 100, tokenRatio: 0.1 }), 300, 4);
  expect(attempts).toBeLessThanOrEqual(300 + 50);
});

test("a throttle opens again as calls succeed: ten for each failure", () => {
  const gate = retryThrottle({ maxTokens: 10, tokenRatio: 0.1 });
  for (let n = 0; n < 7; n++) gate.ended(true);
  expect(gate.balance()).toBe(0);
  for (let n = 0; n < 20; n++) gate.ended(false);
  expect(gate.tryWithdraw(0)).toBe(false);
  for (let n = 0; n < 2; n++) gate.ended(false);
  expect(gate.tryWithdraw(0)).toBe(true);
});

test("a throttle holds no more than its bucket, and owes nothing below its bottom", () => {
  const gate = retryThrottle({ maxTokens: 10, tokenRatio: 1 });
  for (let n = 0; n < 100; n++) gate.ended(true);
  for (let n = 0; n < 6; n++) gate.ended(false);
  expect(gate.balance()).toBe(1);
  for (let n = 0; n < 100; n++) gate.ended(false);
  expect(gate.balance()).toBe(5);
});

test("a gate says beforehand what it would let through, and takes nothing for it", () => {
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.array(fc.oneof(fc.constant("call" as const), fc.boolean(), fc.nat({ max: 4 })), { maxLength: 60 }),
      (isBudget, events) => {
        const gate = isBudget
          ? budget({ minPerSecond: 0.3 }).gate
          : retryThrottle({ maxTokens: 6, tokenRatio: 0.5 });
        for (const event of events) {
          if (event === "call") gate.deposit();
          else if (typeof event === "boolean") gate.ended(event);
          else {
            const said = [gate.mayWithdraw(event), gate.mayWithdraw(event)];
            expect([...said, gate.tryWithdraw(event)]).toEqual([said[0], said[0], said[0]]);
          }
        }
      },
    ),
  );
});

test("the policy chooses between a budget and a throttle", () => {
  const clock = manualClock();
  const budget = retryGate({ kind: "budget", ratio: 0.5, minPerSecond: 0, ttlMs: 1_000 }, clock);
  const throttle = retryGate({ kind: "throttle", maxTokens: 4, tokenRatio: 0.1 }, clock);
  expect([budget.tryWithdraw(0), throttle.tryWithdraw(0)]).toEqual([false, true]);
  deposits(budget, 2);
  deposits(throttle, 2);
  for (let n = 0; n < 2; n++) throttle.ended(true);
  expect([budget.tryWithdraw(0), throttle.tryWithdraw(0)]).toEqual([true, false]);
});
