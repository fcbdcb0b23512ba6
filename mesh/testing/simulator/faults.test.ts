import { expect, test } from "vitest";
import { present } from "./faults.ts";

test("a fault is in place from its beginning until just before its end", () => {
  const fault = { fromMs: 10, toMs: 20, slowdown: 5 };
  const at = (nowMs: number) => present([fault], nowMs);
  expect([9, 10, 19.9, 20].map((nowMs) => at(nowMs).length)).toEqual([0, 1, 1, 0]);
});

test("a fault without a beginning or an end is in place from the first moment, or until the last", () => {
  expect(present([{ toMs: 5 }, { fromMs: 5 }, {}], 0)).toEqual([{ toMs: 5 }, {}]);
  expect(present([{ toMs: 5 }, { fromMs: 5 }, {}], 1e9)).toEqual([{ fromMs: 5 }, {}]);
});
