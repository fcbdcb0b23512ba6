import { expect, test } from "vitest";
import { isWell, rowsOfBreaking, rowsOfTests, tableOf } from "./table.ts";

const comparisons = [
  { with: "v0.1.0", outcome: "compatible" },
  { with: "v0.2.0", outcome: "broken" },
  { with: "0123 of main", outcome: "not compared" },
] as const;

const report = {
  testResults: [
    {
      name: "/checkout/tests/time-travel.test.ts",
      status: "failed",
      assertionResults: [
        { ancestorTitles: ["a client of v0.1.0", "by gRPC"], status: "passed" },
        { ancestorTitles: ["a client of v0.1.0", "by gRPC"], status: "failed" },
        { ancestorTitles: ["a client of v0.1.0", "by Connect"], status: "passed" },
        { ancestorTitles: ["a client of v0.1.0", "by Connect"], status: "pending" },
        { ancestorTitles: [], status: "passed" },
      ],
    },
    { name: "/checkout/tests/broken.test.ts", status: "failed", assertionResults: [] },
    {
      name: "/checkout/tests/unprepared.test.ts",
      status: "failed",
      assertionResults: [{ ancestorTitles: ["what a hook sets up"], status: "skipped" }],
    },
  ],
};
const gates = { "tests/time-travel.test.ts": "old clients" };

test("each comparison is a row", () => {
  expect(rowsOfBreaking(comparisons)).toEqual([
    { gate: "breaking rules", against: "v0.1.0", passed: 1, failed: 0, skipped: 0 },
    { gate: "breaking rules", against: "v0.2.0", passed: 0, failed: 1, skipped: 0 },
    { gate: "breaking rules", against: "0123 of main", passed: 0, failed: 0, skipped: 1 },
  ]);
});

test("each group of tests is a row, and so is a file that cannot be run, or not be prepared", () => {
  expect(rowsOfTests(report, gates)).toEqual([
    { gate: "old clients", against: "a client of v0.1.0, by gRPC", passed: 1, failed: 1, skipped: 0 },
    { gate: "old clients", against: "a client of v0.1.0, by Connect", passed: 1, failed: 0, skipped: 1 },
    { gate: "old clients", against: "as a whole", passed: 1, failed: 0, skipped: 0 },
    {
      gate: "/checkout/tests/broken.test.ts",
      against: "what its tests need",
      passed: 0,
      failed: 1,
      skipped: 0,
    },
    {
      gate: "/checkout/tests/unprepared.test.ts",
      against: "what a hook sets up",
      passed: 0,
      failed: 0,
      skipped: 1,
    },
    {
      gate: "/checkout/tests/unprepared.test.ts",
      against: "what its tests need",
      passed: 0,
      failed: 1,
      skipped: 0,
    },
  ]);
});

test("the table is Markdown, and says at its end what came of it", () => {
  expect(tableOf(rowsOfBreaking(comparisons)).split("\n")).toEqual([
    "| gate           | against      | passed | failed | skipped |",
    "| -------------- | ------------ | -----: | -----: | ------: |",
    "| breaking rules | v0.1.0       |      1 |        |         |",
    "| breaking rules | v0.2.0       |        |      1 |         |",
    "| breaking rules | 0123 of main |        |        |       1 |",
    "",
    "Not compatible: breaking rules (v0.2.0). 1 skipped: not everything could be looked at here.",
  ]);
  expect(
    tableOf(rowsOfBreaking(comparisons.slice(0, 1)))
      .split("\n")
      .at(-1),
  ).toBe("Compatible.");
});

test("one failure is enough", () => {
  expect(isWell(rowsOfBreaking(comparisons))).toBe(false);
  expect(isWell(rowsOfTests(report, gates))).toBe(false);
  expect(isWell(rowsOfBreaking([comparisons[0], comparisons[2]]))).toBe(true);
});
