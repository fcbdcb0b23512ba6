import { afterAll, describe, expect, test, vi } from "vitest";
import { editedContracts } from "../mesh/testing/edited-contracts.ts";
import type { Contracts } from "../tools/contracts/plugin/contracts.ts";
import { breakingRules, everyRule, lintRules } from "../tools/contracts/plugin/every-rule.ts";
import { badChanges, badContracts, goodChanges } from "./contract-mutations/mutations.ts";

// What is promised until a day is promised no longer when that has come.
vi.useFakeTimers({ now: new Date("2026-12-01T00:00:00Z"), toFake: ["Date"] });
afterAll(() => void vi.useRealTimers());

const before = editedContracts();

/** The rules that object to these contracts, after those of today. */
function objecting(now: Contracts): string[] {
  return [
    ...lintRules.filter((rule) => [...rule.check(now)].length > 0),
    ...breakingRules.filter((rule) => [...rule.compare(before, now)].length > 0),
  ].map(({ id }) => id);
}

test("nothing objects to the contracts as they are", () => {
  expect(objecting(before)).toEqual([]);
});

describe("is caught:", () => {
  test.each([...badContracts, ...badChanges])("%s, by %s", (_, caught, edit) => {
    expect(objecting(editedContracts(edit))).toEqual(caught);
  });

  test("by every rule there is something", () => {
    const catching = new Set([...badContracts, ...badChanges].flatMap(([, caught]) => caught));
    expect(everyRule.map(({ id }) => id).filter((id) => !catching.has(id))).toEqual([]);
  });
});

describe("passes:", () => {
  test.each(goodChanges)("%s", (_, edit) => {
    expect(objecting(editedContracts(edit))).toEqual([]);
  });
});
