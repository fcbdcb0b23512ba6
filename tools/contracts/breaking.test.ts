import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { checkBreaking } from "./breaking.ts";
import { buildImage } from "./contract-images.ts";

const field = "  string colour = 1;";
let checkout: string;

beforeEach(() => {
  checkout = mkdtempSync(join(tmpdir(), "weft-checkout-"));
  onTestFinished(() => rmSync(checkout, { recursive: true }));
  writeFileSync(
    join(checkout, "buf.yaml"),
    "version: v2\nmodules:\n  - path: proto\nbreaking:\n  use: [FILE]\n",
  );
  contracts(field);
});

/** Makes the message have these fields. */
function contracts(fields: string): void {
  mkdirSync(join(checkout, "proto/paint/v1"), { recursive: true });
  const text = `syntax = "proto3";\npackage paint.v1;\nmessage Paint {\n${fields}\n}\n`;
  writeFileSync(join(checkout, "proto/paint/v1/paint.proto"), text);
}

/** Runs git, whatever the settings of the person who runs the tests: signed commits, say. */
function git(dir: string, ...args: string[]): void {
  const settings = [
    "user.name=Ada",
    "user.email=ada@example.com",
    "commit.gpgSign=false",
    "core.hooksPath=/dev/null",
  ];
  execFileSync("git", [...settings.flatMap((setting) => ["-c", setting]), ...args], {
    cwd: dir,
    stdio: "pipe",
  });
}

function commit(): void {
  git(checkout, "add", "--all");
  git(checkout, "commit", "--message", "work");
}

async function release(version: string): Promise<void> {
  await buildImage(checkout, join(checkout, "contracts/released", `${version}.binpb`));
}

test("without git and without a release it says what it did not compare, and passes", async () => {
  const { ok, lines } = await checkBreaking(checkout);
  expect(ok).toBe(true);
  expect(lines[0]).toBe("Not compared with a release: contracts/released holds no image.");
  expect(lines[1]).toContain("Not compared with the main branch: git refuses: fatal: not a git repository");
});

test("the contracts of a release must stay as they were", async () => {
  await release("v0.1.0");
  expect(await checkBreaking(checkout)).toMatchObject({ ok: true });
  contracts("  string hue = 2;");
  const { ok, lines } = await checkBreaking(checkout);
  expect(ok).toBe(false);
  expect(lines[0]).toBe("Not compatible with contracts/released/v0.1.0.binpb:");
  expect(lines[1]).toContain('field "1" with name "colour" on message "Paint" was deleted');
});

test("every release counts, not only the last one", async () => {
  await release("v0.9.0");
  contracts("");
  await release("v0.10.0");
  contracts("  int32 colour = 1;");
  const { ok, lines } = await checkBreaking(checkout);
  expect(ok).toBe(false);
  expect(lines[0]).toBe("Not compatible with contracts/released/v0.9.0.binpb:");
  expect(lines[1]).toContain('changed type from "string" to "int32"');
  expect(lines).toContain("Compatible with contracts/released/v0.10.0.binpb.");
});

test("contracts that do not build are refused", async () => {
  await release("v0.1.0");
  contracts("  strin colour = 1;");
  const { ok, lines } = await checkBreaking(checkout);
  expect(ok).toBe(false);
  expect(lines.join("\n")).toContain("strin");
});

test("a branch must not break what main has, committed or not", async () => {
  git(checkout, "init", "--initial-branch", "main");
  commit();
  git(checkout, "switch", "--create", "work");
  contracts("  string hue = 2;");
  expect((await checkBreaking(checkout)).lines.join("\n")).toContain(
    '"colour" on message "Paint" was deleted',
  );
  commit();
  const { ok, lines } = await checkBreaking(checkout);
  expect(ok).toBe(false);
  expect(lines[1]).toMatch(/^Not compatible with [0-9a-f]{12} of main:$/);
  expect(lines.join("\n")).toContain('"colour" on message "Paint" was deleted');
});

test("what main got since the branch began is not held against the branch", async () => {
  git(checkout, "init", "--initial-branch", "main");
  commit();
  git(checkout, "branch", "work");
  contracts(`${field}\n  string hue = 2;`);
  commit();
  git(checkout, "switch", "work");
  expect(await checkBreaking(checkout)).toMatchObject({ ok: true });
});

test("a module that main does not have yet is no obstacle", async () => {
  git(checkout, "init", "--initial-branch", "main");
  commit();
  mkdirSync(join(checkout, "third_party/note/v1"), { recursive: true });
  writeFileSync(join(checkout, "third_party/note/v1/note.proto"), 'syntax = "proto3";\npackage note.v1;\n');
  writeFileSync(
    join(checkout, "buf.yaml"),
    "version: v2\nmodules:\n  - path: proto\n  - path: third_party\nbreaking:\n  use: [FILE]\n",
  );
  expect((await checkBreaking(checkout)).lines[1]).toMatch(/^Compatible with [0-9a-f]{12} of main\.$/);
});

test("before the first commit there is nothing to compare with", async () => {
  git(checkout, "init", "--initial-branch", "main");
  const { ok, lines } = await checkBreaking(checkout);
  expect(ok).toBe(true);
  expect(lines[1]).toBe("Not compared with the main branch: nothing is committed yet.");
});

test("a main that has no contracts yet is no obstacle", async () => {
  git(checkout, "init", "--initial-branch", "main");
  git(checkout, "commit", "--allow-empty", "--message", "begin");
  const { ok, lines } = await checkBreaking(checkout);
  expect(ok).toBe(true);
  expect(lines[1]).toContain("it has no contracts");
});

test("a shallow clone is told how to get what is missing, and still compares with the releases", async () => {
  await release("v0.1.0");
  git(checkout, "init", "--initial-branch", "main");
  commit();
  git(checkout, "switch", "--create", "work");
  appendFileSync(join(checkout, "proto/paint/v1/paint.proto"), "message Brush {}\n");
  commit();
  const clone = join(checkout, "clone");
  git(checkout, "clone", "--depth", "1", "--branch", "work", `file://${checkout}`, clone);
  const withoutMain = await checkBreaking(clone);
  expect(withoutMain.ok).toBe(true);
  expect(withoutMain.lines[0]).toBe("Compatible with contracts/released/v0.1.0.binpb.");
  expect(withoutMain.lines[1]).toContain("git fetch origin main:main");
  git(clone, "fetch", "--depth", "1", "origin", "main:main");
  expect((await checkBreaking(clone)).lines[1]).toContain("git fetch --unshallow");
  git(clone, "fetch", "--unshallow");
  expect((await checkBreaking(clone)).lines[1]).toMatch(/^Compatible with [0-9a-f]{12} of main\.$/);
});
