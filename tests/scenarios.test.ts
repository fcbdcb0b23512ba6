import { expect, test } from "vitest";
import { claimsOf, claimsOfTests } from "./scenarios/claims.ts";
import { IDS, SCENARIOS } from "./scenarios/every-scenario.ts";
import { rowOf } from "./scenarios/report.ts";
import { atMost, misses, never, type Scenario, within } from "./scenarios/scenario.ts";

// Simulated time costs work: the longest takes some seconds, and more beside others.
const TIMEOUT_MS = 120_000;

test.each(SCENARIOS.map((scenario) => [scenario.id, scenario.what, scenario] as const))(
  "%s: %s",
  { timeout: TIMEOUT_MS },
  async (_id, _what, scenario) => {
    expect(misses(scenario, await scenario.run())).toEqual([]);
  },
);

test("every situation is shown by a scenario, or by a test whose title names it", () => {
  const shown = new Set([...SCENARIOS, ...claimsOfTests()].map(({ id }) => id));
  expect(IDS.filter((id) => !shown.has(id))).toEqual([]);
  expect(SCENARIOS.filter(({ id }) => !IDS.includes(id))).toEqual([]);
});

test("a title claims what it names in parentheses at its end or within, and nothing else does", () => {
  // None of these exists, so that this file claims nothing itself.
  const text = `
// "not this one" (X1)
test("one (X2, Y15)", () => {});
test.each([])("two %s (X5) of three", () => {});
test(\`three (X6)\`, () => {});
test("none (of these) has 10 ms (X3 is not alone)", () => {});
describe("a group (X4)", () => {
  test.each([])(
    "has a test of %j (X4, Y11)",
    () => {},
  );
});
test("without a group (X7)", () => {});
`;
  expect(claimsOf("a.test.ts", text)).toEqual([
    { id: "X2", file: "a.test.ts", title: "one" },
    { id: "Y15", file: "a.test.ts", title: "one" },
    { id: "X5", file: "a.test.ts", title: "two ... of three" },
    { id: "X6", file: "a.test.ts", title: "three" },
    { id: "X4", file: "a.test.ts", title: "a group" },
    { id: "X4", file: "a.test.ts", title: "a group has a test of ..." },
    { id: "Y11", file: "a.test.ts", title: "a group has a test of ..." },
    { id: "X7", file: "a.test.ts", title: "without a group" },
  ]);
});

const scenario: Scenario = {
  id: "R1",
  what: "a toy",
  expects: { load: atMost(1.2), share: within(0.1, 0.2), "recovered after (s)": never },
  run: async () => ({}),
};
const GOOD = { load: 1.2, share: 0.1, "recovered after (s)": Number.POSITIVE_INFINITY };

test("a figure that is not what it must be is missed, and so is one that is not there", () => {
  expect(misses(scenario, GOOD)).toEqual([]);
  expect(misses(scenario, { ...GOOD, load: 1.21 })).toEqual(["load: 1.21, expected <= 1.2"]);
  expect(misses(scenario, { ...GOOD, share: 0.21 })).toHaveLength(1);
  expect(misses(scenario, { ...GOOD, "recovered after (s)": 60 })).toHaveLength(1);
  expect(misses(scenario, { ...GOOD, share: Number.NaN })).toHaveLength(1);
  expect(misses(scenario, {})).toHaveLength(3);
});

test("the table says what was expected, and shows each figure, also those of which nothing is expected", () => {
  expect(rowOf(scenario, { ...GOOD, extra: 1234.56 })).toEqual({
    id: "R1",
    what: "a toy",
    expected: "load <= 1.2; share 0.1 to 0.2; recovered after (s) never",
    measured: "load 1.2; share 0.1; recovered after (s) never; extra 1235",
    verdict: "holds",
  });
  expect(rowOf(scenario, { ...GOOD, load: 2 }).verdict).toBe("MISSED");
});
