import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { findOnPath } from "./executables.ts";
import { findGrpcurl, installGrpcurl, installTools } from "./grpcurl.ts";
import { tempDir } from "./temp-dir.ts";

/** A PATH that leads to a shell and to these scripts only. */
async function onPath(scripts: Record<string, string>): Promise<void> {
  const dir = tempDir();
  for (const tool of ["sh", "env", "chmod"]) symlinkSync((await findOnPath(tool)) as string, join(dir, tool));
  for (const [name, body] of Object.entries(scripts))
    writeFileSync(join(dir, name), `#!${dir}/sh\n${body}\n`, { mode: 0o755 });
  vi.stubEnv("PATH", dir);
  onTestFinished(() => void vi.unstubAllEnvs());
}

const GO = `name=\${2##*/}; name=\${name%@*}; case $2 in */nats-server/*) name=nats-server;; esac
printf '#!%s\\necho v2.14.5\\n' "$(command -v sh)" > "$GOBIN/$name"; chmod +x "$GOBIN/$name"`;

test("grpcurl is built with Go, once, and then found", async () => {
  await onPath({ go: GO });
  const toolsDir = tempDir();
  const said: string[] = [];
  expect(await findGrpcurl(toolsDir)).toBe(undefined);
  expect(await installGrpcurl(toolsDir, (line) => said.push(line))).toBe(join(toolsDir, "grpcurl"));
  expect(said[0]).toContain("fullstorydev/grpcurl/cmd/grpcurl@v");
  said.length = 0;
  expect(await installGrpcurl(toolsDir, (line) => said.push(line))).toBe(join(toolsDir, "grpcurl"));
  expect(said).toEqual([]);
});

test("without Go the error names what does the same", async () => {
  await onPath({});
  await expect(installGrpcurl(tempDir(), () => {})).rejects.toThrow(/Go is not on PATH.*buf curl/);
});

test("every tool is tried, and one that is missing makes the exit code 1", async () => {
  await onPath({ "nats-server": "echo nats-server: v2.9.10" });
  const toolsDir = join(tempDir(), "tools");
  const said: string[] = [];
  expect(await installTools(toolsDir, (line) => said.push(line))).toBe(1);
  expect(said[0]).toMatch(/^nats-server: .*\/nats-server$/);
  expect(said[1]).toMatch(/^grpcurl could not be installed/);
});

test("with everything there the exit code is 0", async () => {
  await onPath({ go: GO });
  const toolsDir = join(tempDir(), "tools");
  mkdirSync(toolsDir);
  expect(await installTools(toolsDir, () => {})).toBe(0);
});
