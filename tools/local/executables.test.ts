import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { findOnPath, goBuild, outputOf } from "./executables.ts";
import { tempDir } from "./temp-dir.ts";

test("a program is found on PATH, or not", async () => {
  expect(await findOnPath("sh")).toMatch(/\/sh$/);
  expect(await findOnPath("no-such-program")).toBe(undefined);
});

test("the output of a program that fails, or is not there, is undefined", async () => {
  expect(await outputOf("sh", ["-c", "echo out; echo err >&2"])).toBe("out\nerr");
  expect(await outputOf("sh", ["-c", "echo out; exit 1"])).toBe(undefined);
  expect(await outputOf("/no/such/program", [])).toBe(undefined);
});

test("a program of a Go module is built in the module's folder, whole or not at all", async () => {
  const dir = tempDir();
  for (const tool of ["sh", "env"]) symlinkSync((await findOnPath(tool)) as string, join(dir, tool));
  const go = join(dir, "go");
  writeFileSync(go, `#!${dir}/sh\necho "$1 $2 $3 $4 $6" > "$5program"\n`, { mode: 0o755 });
  vi.stubEnv("PATH", dir);
  onTestFinished(() => void vi.unstubAllEnvs());
  const target = join(tempDir(), "program");
  await goBuild("/a/module", "example.com/cmd/program", target, () => {});
  expect(readFileSync(target, "utf8")).toBe("build -C /a/module -o example.com/cmd/program\n");

  writeFileSync(go, `#!${dir}/sh\necho "no network" >&2; exit 1\n`);
  const failed = goBuild("/a/module", "example.com/cmd/program", target, () => {});
  await expect(failed).rejects.toThrow("go build example.com/cmd/program failed: no network");
  expect(readFileSync(target, "utf8")).toContain("build -C /a/module");
});
