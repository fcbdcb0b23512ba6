import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { checkBreaking } from "./breaking.ts";
import { release } from "./release.ts";

const DAY = new Date("2026-11-29T12:00:00Z");
const TIMEOUT = 120_000;
let checkout: string;

beforeEach(() => {
  checkout = mkdtempSync(join(tmpdir(), "weft-release-"));
  onTestFinished(() => rmSync(checkout, { recursive: true }));
  write("buf.yaml", "version: v2\nmodules:\n  - path: proto\nbreaking:\n  use: [FILE]\n");
  write("package.json", '{\n  "name": "paint",\n  "version": "0.0.0"\n}\n');
  write("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n\n### Added\n- Colours.\n");
  contracts("string colour = 1;");
});

function write(path: string, text: string): void {
  mkdirSync(join(checkout, path, ".."), { recursive: true });
  writeFileSync(join(checkout, path), text);
}

function read(path: string): string {
  return readFileSync(join(checkout, path), "utf8");
}

/** Makes the message have these fields. */
function contracts(fields: string): void {
  write(
    "proto/paint/v1/paint.proto",
    `syntax = "proto3";\npackage paint.v1;\nmessage Paint {\n  ${fields}\n}\n`,
  );
}

test("releases follow one another, each no lower than its changes ask for", {
  timeout: TIMEOUT,
}, async () => {
  expect(await release(checkout, "0.1.0", DAY)).toMatchObject({ ok: true });
  expect(existsSync(join(checkout, "contracts/released/v0.1.0.binpb"))).toBe(true);
  expect(read("CHANGELOG.md")).toContain(
    "## [0.1.0] - 2026-11-29\n\n### Added\n- Colours.\n- **contracts**: `contracts/released/v0.1.0.binpb`",
  );
  expect(JSON.parse(read("package.json"))).toMatchObject({ version: "0.1.0" });

  // Nothing has changed.
  expect(await release(checkout)).toMatchObject({
    ok: true,
    lines: ["Nothing to release: the contracts are those of 0.1.0."],
  });
  expect(await release(checkout, "0.2.0", DAY)).toMatchObject({ ok: false });

  contracts("string colour = 1;\n  int32 litres = 2;");
  expect((await release(checkout)).lines).toEqual([
    "After 0.1.0 comes 0.2.0 at least: minor.",
    "minor:",
    "  new field paint.v1.Paint.litres",
    "Release it: make release VERSION=0.2.0",
  ]);
  const tooLow = await release(checkout, "0.1.1", DAY);
  expect(tooLow.ok).toBe(false);
  expect(tooLow.lines.at(-1)).toBe("Refused: 0.1.1 is lower than 0.2.0, which these changes ask for.");
  expect(existsSync(join(checkout, "contracts/released/v0.1.1.binpb"))).toBe(false);
  expect(await release(checkout, "0.3.0", DAY)).toMatchObject({ ok: true });
  expect(read("CHANGELOG.md")).toContain(
    "## [0.3.0] - 2026-11-29\n\n### Added\n- **contracts**: `contracts/released/v0.3.0.binpb` (minor; new: 1 field).",
  );

  // What one release had and the next kept breaks against both; it is said once.
  contracts("int32 colour = 1;\n  int32 litres = 2;");
  const major = await release(checkout);
  expect(major.lines[0]).toBe("After 0.3.0 comes 1.0.0 at least: major.");
  expect(major.lines.filter((line) => line.includes('changed type from "string" to "int32"'))).toHaveLength(
    1,
  );
  expect((await release(checkout, "0.4.0", DAY)).ok).toBe(false);
  expect((await checkBreaking(checkout)).ok).toBe(false);
  expect((await release(checkout, "1.0.0", DAY)).ok).toBe(true);
  // A new major promises anew.
  expect((await checkBreaking(checkout)).ok).toBe(true);
});

test("a version that is none, and contracts that do not build, are refused", {
  timeout: TIMEOUT,
}, async () => {
  await expect(release(checkout, "1.0", DAY)).rejects.toThrow('"1.0" is no version');
  contracts("strin colour = 1;");
  expect(await release(checkout, "1.0.0", DAY)).toMatchObject({
    ok: false,
    lines: ["The contracts do not build:", expect.stringContaining("strin")],
  });
});
