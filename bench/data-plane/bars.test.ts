import { expect, test } from "vitest";
import type { PairMeasured } from "../calls/pair.ts";
import { bars, holds } from "./bars.ts";
import { CASES } from "./cases.ts";
import { SUBJECTS } from "./subjects.ts";

const PLAIN: PairMeasured = {
  calls: 1,
  failed: 0,
  error: undefined,
  perSecond: 1,
  p50Ms: 1,
  p99Ms: 1,
  cpuUs: 1,
  clientUs: 1,
  serverUs: 1,
};

test("every bar is of cases and subjects that there are", () => {
  const calls = SUBJECTS.flatMap(({ name }) =>
    CASES.map((of) => ({ round: 1, subject: name, case: of.name, measured: PLAIN })),
  );
  const measured = bars({ calls, idle: [], attacks: [] }).map(({ measured }) => measured);
  expect(measured).toEqual(Array(11).fill(1));
});

test("a bar holds on its own side, its edge included, and not when it was not measured", () => {
  const bar = { what: "", atLeast: 7 };
  expect([6.9, 7, 8, Number.NaN].map((measured) => holds({ ...bar, measured }))).toEqual([
    false,
    true,
    true,
    false,
  ]);
  const most = { what: "", atMost: 0.5 };
  expect([0.4, 0.5, 0.6, Number.NaN].map((measured) => holds({ ...most, measured }))).toEqual([
    true,
    true,
    false,
    false,
  ]);
});
