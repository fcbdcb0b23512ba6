import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test, vi } from "vitest";
import { findPostgresPackage, unpackPostgres } from "./postgres-files.ts";
import { tempDir } from "./temp-dir.ts";

// They unpack and start a real server, on a machine that may be busy with other tests.
vi.setConfig({ testTimeout: 60_000 });

test("the unpacked PostgreSQL has every symbolic link that its package lists, and others can run it", async () => {
  const homeDir = tempDir();
  const said: string[] = [];
  const dir = await unpackPostgres(homeDir, (line) => said.push(line));
  const list = join(findPostgresPackage().nativeDir, "pg-symlinks.json");
  if (existsSync(list)) {
    const links = JSON.parse(readFileSync(list, "utf8")) as { source: string; target: string }[];
    expect(links.length).toBeGreaterThan(0);
    for (const { target } of links) {
      // Follows the link: a dangling one would throw.
      expect(statSync(join(dir, target.replace(/^native\//, ""))).isFile()).toBe(true);
    }
  }
  expect(statSync(join(dir, "bin/postgres")).mode & 0o777).toBe(0o755);
  expect(statSync(dirname(dir)).mode & 0o777).toBe(0o755);
  expect(said).toEqual([`PostgreSQL: unpacking ${findPostgresPackage().version} into ${homeDir}`]);
});

test("it is unpacked once", async () => {
  const homeDir = tempDir();
  const first = await unpackPostgres(homeDir, () => {});
  const made = statSync(first).ctimeMs;
  expect(await unpackPostgres(homeDir, () => {})).toBe(first);
  expect(statSync(first).ctimeMs).toBe(made);
});
