import { expect, test } from "vitest";
import { compareVersions, next, parseVersion, textOf } from "./version.ts";

test("a version is three numbers, with a v or without", () => {
  expect(parseVersion("v1.20.3")).toEqual({ major: 1, minor: 20, patch: 3 });
  expect(textOf(parseVersion("0.1.0"))).toBe("0.1.0");
  for (const bad of ["1.2", "1.2.3-rc1", "01.2.3", "x", ""])
    expect(() => parseVersion(bad)).toThrow("is no version");
});

test("versions are compared by number", () => {
  const sorted = ["0.10.0", "0.9.1", "1.0.0", "0.9.0"].map(parseVersion).sort(compareVersions).map(textOf);
  expect(sorted).toEqual(["0.9.0", "0.9.1", "0.10.0", "1.0.0"]);
});

test.each([
  ["major", "1.0.0"],
  ["minor", "0.4.0"],
  ["patch", "0.3.2"],
  ["none", "0.3.1"],
] as const)("after 0.3.1 a %s change makes %s", (level, version) => {
  expect(textOf(next(parseVersion("0.3.1"), level))).toBe(version);
});
