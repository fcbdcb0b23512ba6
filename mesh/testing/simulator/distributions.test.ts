import { expect, test } from "vitest";
import { random } from "../random.ts";
import { constant, type Distribution, exponential, lognormal } from "./distributions.ts";

const COUNT = 100_000;

/** So many lengths that chance chose, from the shortest on. */
function drawn(distribution: Distribution): Float64Array {
  const chance = random(1);
  return Float64Array.from({ length: COUNT }, () => distribution(chance)).sort();
}

const mean = (values: Float64Array) => values.reduce((sum, each) => sum + each, 0) / values.length;
const percentile = (values: Float64Array, p: number) => values[Math.floor(p * values.length)] ?? Number.NaN;
/** What is measured, as a multiple of what is said. */
const ratio = (measured: number, said: number) => Math.abs(measured / said - 1);

test("a constant length is always the same", () => {
  expect(new Set(drawn(constant(25)))).toEqual(new Set([25]));
});

test("exponential lengths have the mean that they are given, and its quantiles", () => {
  const values = drawn(exponential(100));
  expect(ratio(mean(values), 100)).toBeLessThan(0.01);
  expect(ratio(percentile(values, 0.5), 100 * Math.LN2)).toBeLessThan(0.02);
  expect(ratio(percentile(values, 0.99), 100 * Math.log(100))).toBeLessThan(0.03);
  expect(values[0]).toBeGreaterThanOrEqual(0);
});

test("lognormal lengths have the median that they are given, the mean that follows, and its quantiles", () => {
  const values = drawn(lognormal(10, 0.5));
  expect(ratio(percentile(values, 0.5), 10)).toBeLessThan(0.01);
  expect(ratio(mean(values), 10 * Math.exp(0.125))).toBeLessThan(0.01);
  // 2.326 standard deviations above the median lies one in a hundred.
  expect(ratio(percentile(values, 0.99), 10 * Math.exp(0.5 * 2.326))).toBeLessThan(0.03);
});
