import { expect, test } from "vitest";
import { ratioOf } from "./results.ts";

const entry = (round: number, subject: string, measured: number) => ({
  round,
  subject,
  case: "case",
  measured,
});
const which = (subject: string) => ({ subject, case: "case" });
const itself = (measured: number) => measured;

test("a ratio is the median of those of the same rounds, and a round that one has not counts for nothing", () => {
  const entries = [
    ...[entry(1, "base", 10), entry(2, "base", 100), entry(3, "base", 1_000), entry(4, "base", 1)],
    ...[entry(1, "ours", 20), entry(3, "ours", 3_000), entry(4, "ours", 4)],
  ];
  expect(ratioOf(entries, which("ours"), which("base"), itself)).toBe(3);
});

test("what was not measured has no ratio", () => {
  expect(ratioOf([entry(1, "base", 10)], which("ours"), which("base"), itself)).toBeNaN();
});
