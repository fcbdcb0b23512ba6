import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { tempDir } from "./temp-dir.ts";
import { watchFolders } from "./watch.ts";

function watchTemp() {
  const dir = tempDir();
  mkdirSync(join(dir, "order/migrations"), { recursive: true });
  const changes: string[] = [];
  const watcher = watchFolders([join(dir, "order"), join(dir, "not-there")], (file) => changes.push(file));
  onTestFinished(() => watcher.close());
  return { dir, changes };
}

test("several changes at once are told once, below sub-folders too", async () => {
  const { dir, changes } = watchTemp();
  const last = join(dir, "order/migrations/0001_create.sql");
  writeFileSync(join(dir, "order/app.ts"), "1");
  writeFileSync(last, "1");
  await vi.waitFor(() => expect(changes).toEqual([last]), 5000);
});

test("tests and editors' own files do not count", async () => {
  const { dir, changes } = watchTemp();
  for (const name of ["app.test.ts", ".app.ts.swp", "app.ts~"]) writeFileSync(join(dir, "order", name), "1");
  // Told in order: had one of the above counted, its file would stand here, or the settling would have named it.
  writeFileSync(join(dir, "order/store.ts"), "1");
  await vi.waitFor(() => expect(changes).toEqual([join(dir, "order/store.ts")]), 5000);
});
