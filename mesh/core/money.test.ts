import { expect, test } from "vitest";
import { euro, toCents } from "./money.ts";

test.each([
  [0, 0n, 0],
  [1, 0n, 10_000_000],
  [99, 0n, 990_000_000],
  [1_299, 12n, 990_000_000],
  [100_000_000, 1_000_000n, 0],
  [-1, 0n, -10_000_000],
  [-1_299, -12n, -990_000_000],
])("%d cents are %d units and %d nanos, and back", (cents, units, nanos) => {
  const money = euro(cents);
  expect(money.currencyCode).toBe("EUR");
  expect(money.units).toBe(units);
  // -0 and 0 are one amount.
  expect(money.nanos === nanos).toBe(true);
  expect(toCents(money)).toBe(cents);
});

test("whole cents stay whole, however many", () => {
  for (let cents = 0; cents < 10_000; cents++) expect(toCents(euro(cents))).toBe(cents);
});

test.each([
  [0n, 1],
  [0n, 5_000_000],
  [12n, 999_999_999],
  [80_000_000_000_000n, 5_000_000],
  [2n ** 62n, 0],
])("%d units and %d nanos are no number of cents that can be kept", (units, nanos) => {
  expect(() => toCents({ currencyCode: "EUR", units, nanos })).toThrow(RangeError);
});
