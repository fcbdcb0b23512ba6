import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { tempDir } from "../../tools/local/temp-dir.ts";
import { readCount, runH2spec } from "./h2spec.ts";

/** A program that stands in for h2spec. */
function script(body: string): string {
  const path = join(tempDir(), "h2spec");
  writeFileSync(path, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  return path;
}

test("what h2spec has counted is read, also if cases have failed", async () => {
  const said: string[] = [];
  const h2spec = script(`echo "$@"; echo "146 tests, 135 passed, 1 skipped, 10 failed"; exit 1`);
  const count = await runH2spec(h2spec, 8_443, (text) => said.push(text));
  expect(count).toEqual({ passed: 135, skipped: 1, failed: 10 });
  expect(said.join("")).toMatch(/^--strict .*--port 8443 .*\n146 tests, /);
});

test("an h2spec that counts nothing is an error, not a success", async () => {
  await expect(runH2spec(script("exit 0"), 8_443, () => {})).rejects.toThrow("code 0 and counted nothing");
  await expect(runH2spec("/no/such/h2spec", 8_443, () => {})).rejects.toThrow("ENOENT");
});

test("a test that is named like the count is not taken for it", () => {
  expect(readCount("  × 2: 9 tests, 9 passed, 0 skipped, 0 failed, or so\n")).toBe(undefined);
});
