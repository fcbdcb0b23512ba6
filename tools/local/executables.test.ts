import { expect, test } from "vitest";
import { findOnPath, outputOf } from "./executables.ts";

test("a program is found on PATH, or not", async () => {
  expect(await findOnPath("sh")).toMatch(/\/sh$/);
  expect(await findOnPath("no-such-program")).toBe(undefined);
});

test("the output of a program that fails, or is not there, is undefined", async () => {
  expect(await outputOf("sh", ["-c", "echo out; echo err >&2"])).toBe("out\nerr");
  expect(await outputOf("sh", ["-c", "echo out; exit 1"])).toBe(undefined);
  expect(await outputOf("/no/such/program", [])).toBe(undefined);
});
