import { mkdirSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { makeReachable, postgresHome } from "./postgres-home.ts";
import { tempDir } from "./temp-dir.ts";

test("for a plain user it lies in the data folder", () => {
  vi.spyOn(process, "getuid").mockReturnValue(1000);
  expect(postgresHome("/checkout/.data")).toBe("/checkout/.data/postgres");
  vi.restoreAllMocks();
});

test("for root each data folder has its own, outside, whatever path leads to it", () => {
  const dir = tempDir();
  const [first, second, link] = ["first", "second", "link"].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ];
  mkdirSync(first);
  symlinkSync(first, link);
  vi.spyOn(process, "getuid").mockReturnValue(0);
  expect(postgresHome(first)).toMatch(/^\/var\/lib\/weft\/[0-9a-f]{12}$/);
  expect(postgresHome(link)).toBe(postgresHome(first));
  expect(postgresHome(second)).not.toBe(postgresHome(first));
  vi.restoreAllMocks();
});

// A plain user's folder for temporary files may be closed to others, and PostgreSQL then runs as that user.
test.runIf(process.getuid?.() === 0)(
  "folders are made so that everybody can enter them, and a parent that forbids it is named",
  () => {
    const dir = tempDir();
    makeReachable(join(dir, "a/b"), { uid: 65534, gid: 65534 });
    expect(statSync(join(dir, "a/b")).mode & 0o777).toBe(0o755);
    mkdirSync(join(dir, "closed"), { mode: 0o700 });
    expect(() => makeReachable(join(dir, "closed/home"), { uid: 65534, gid: 65534 })).toThrow(
      join(dir, "closed"),
    );
  },
);
