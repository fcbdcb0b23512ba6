import { spawnSync } from "node:child_process";
import { appendFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { drift, vendor } from "./vendor-protos.ts";

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "weft-vendor-"));
  vendor(dir);
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
});

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const tool = fileURLToPath(new URL("vendor-protos.ts", import.meta.url));
  return spawnSync(process.execPath, [tool, ...args], { encoding: "utf8" });
}

test("what was just written does not differ", () => {
  expect(drift(dir)).toEqual([]);
});

test("a change, a missing file and a file from nowhere are each named", () => {
  appendFileSync(join(dir, "protovalidate/buf/validate/validate.proto"), "// edited\n");
  rmSync(join(dir, "googleapis/LICENSE"));
  writeFileSync(join(dir, "grpc/mine.proto"), "");
  expect(drift(dir)).toEqual([
    "googleapis/LICENSE is missing",
    "grpc/mine.proto comes from no package",
    "protovalidate/buf/validate/validate.proto differs from its package",
  ]);
});

test("writing again removes what comes from no package", () => {
  writeFileSync(join(dir, "grpc/mine.proto"), "");
  vendor(dir);
  expect(drift(dir)).toEqual([]);
});

test("--check names the file, says what to do, exits with 1 and writes nothing", () => {
  rmSync(join(dir, "grpc"), { recursive: true });
  const { status, stderr } = run("--check", "--dir", dir);
  expect(stderr).toContain("third_party: grpc/grpc/health/v1/health.proto is missing");
  expect(stderr).toContain("node tools/contracts/vendor-protos.ts");
  expect(status).toBe(1);
  expect(existsSync(join(dir, "grpc"))).toBe(false);
});

test("--check is silent if nothing differs", () => {
  expect(run("--check", "--dir", dir)).toMatchObject({ status: 0, stdout: "", stderr: "" });
});

test("--help explains every option", () => {
  const { status, stdout } = run("--help");
  expect(status).toBe(0);
  expect(stdout).toContain("--check");
  expect(stdout).toContain("--dir");
});
