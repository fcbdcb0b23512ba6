import { expect, test } from "vitest";
import { isConflict, isStoreAway, isTimeout } from "./errors.ts";

const withCode = (code: unknown) => Object.assign(new Error("no"), { code });

test("what only a database that is away says is told from what any socket says", () => {
  const away = ["CONNECTION_CLOSED", "CONNECT_TIMEOUT", "08006", "53300", "57P01"];
  expect(away.map((code) => isStoreAway(withCode(code)))).toEqual(away.map(() => true));
  const others = ["ECONNREFUSED", "ECONNRESET", "57014", "23505", "40001", "", 17, undefined];
  expect(others.filter((code) => isStoreAway(withCode(code)))).toEqual([]);
  expect(isStoreAway("CONNECTION_CLOSED")).toBe(false);
});

test("conflicts are those that the same again may mend", () => {
  const conflicts = ["40001", "40P01", "55P03"];
  expect(conflicts.map((code) => isConflict(withCode(code)))).toEqual([true, true, true]);
  expect(["40000", "23505", "57014", undefined].filter((code) => isConflict(withCode(code)))).toEqual([]);
});

test("a statement that took too long is told from one that was in another's way", () => {
  expect(isTimeout(withCode("57014"))).toBe(true);
  expect(["55P03", "57P01", undefined].filter((code) => isTimeout(withCode(code)))).toEqual([]);
});
