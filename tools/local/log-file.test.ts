import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openLogFile } from "./log-file.ts";
import { tempDir } from "./temp-dir.ts";

test("it begins empty and keeps every line", () => {
  const path = join(tempDir(), "logs/order-1.log");
  openLogFile(path).close();
  writeFileSync(path, "of an earlier run\n");
  const log = openLogFile(path);
  log.write("one");
  log.write("two");
  expect(readFileSync(path, "utf8")).toBe("one\ntwo\n");
  log.close();
  log.close();
  log.write("after the end");
  expect(readFileSync(path, "utf8")).toBe("one\ntwo\n");
});

test("it never takes much more than twice its bound", () => {
  const dir = tempDir();
  const log = openLogFile(join(dir, "a.log"), 20);
  for (let n = 0; n < 100; n++) log.write(`line ${n}`);
  log.close();
  expect(readdirSync(dir).sort()).toEqual(["a.log", "a.log.old"]);
  const kept = ["a.log.old", "a.log"].map((name) => readFileSync(join(dir, name), "utf8")).join("");
  expect(kept.length).toBeLessThan(60);
  expect(kept.endsWith("line 99\n")).toBe(true);
});
