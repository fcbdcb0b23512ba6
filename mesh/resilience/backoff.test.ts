import { expect, test } from "vitest";
import type { BackoffPolicy } from "../contract/policy.ts";
import { random } from "../testing/random.ts";
import { backoffMs } from "./backoff.ts";

const POLICY: BackoffPolicy = { initialMs: 25, maxMs: 250, multiplier: 2, jitter: "none" };
const waits = (policy: BackoffPolicy, chance: () => number, count = 6) =>
  Array.from({ length: count }, (_, i) => backoffMs(policy, i + 1, chance));

test("a wait is twice the one before, up to its cap", () => {
  expect(waits(POLICY, () => 0.5)).toEqual([25, 50, 100, 200, 250, 250]);
});

test("a multiplier of 1 waits as long each time", () => {
  expect(waits({ ...POLICY, multiplier: 1 }, () => 0.5)).toEqual(Array(6).fill(25));
});

test("the cap holds however many attempts failed", () => {
  expect(backoffMs(POLICY, 10_000, () => 0)).toBe(250);
});

test.each([
  ["none", 100, 100],
  ["equal", 50, 100],
  ["full", 0, 100],
  ["a6", 80, 120],
] as const)("jitter %s spreads a wait of 100 ms from %d to %d ms", (jitter, from, to) => {
  const policy = { ...POLICY, jitter };
  expect(backoffMs(policy, 3, () => 0)).toBeCloseTo(from, 9);
  expect(backoffMs(policy, 3, () => 1)).toBeCloseTo(to, 9);
});

/** How far the values are from an even spread over 0 to `to`: the statistic of Kolmogorov and Smirnov. */
function distanceFromEven(values: readonly number[], to: number): number {
  const sorted = values.map((value) => value / to).sort((a, b) => a - b);
  const n = sorted.length;
  return Math.max(...sorted.map((value, i) => Math.max(value - i / n, (i + 1) / n - value)));
}

// The distance that 1,000 evenly spread values exceed once in a hundred times: 1.628 / sqrt(1000).
const ONE_IN_A_HUNDRED = 0.0515;
const spread = (jitter: BackoffPolicy["jitter"]) => {
  const { next } = random(6);
  const values = Array.from({ length: 1_000 }, () => backoffMs({ ...POLICY, jitter }, 3, next));
  return distanceFromEven(values, 100);
};

test("a thousand waits with full jitter are spread evenly from nothing to the whole wait (R10)", () => {
  expect(spread("full")).toBeLessThan(ONE_IN_A_HUNDRED);
});

test("the measure tells the other jitters from an even spread (R10)", () => {
  for (const jitter of ["none", "equal", "a6"] as const) {
    expect(spread(jitter)).toBeGreaterThan(ONE_IN_A_HUNDRED);
  }
});
