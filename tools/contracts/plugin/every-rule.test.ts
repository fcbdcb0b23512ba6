import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { breakingRules, everyRule, lintRules } from "./every-rule.ts";

const folder = join(import.meta.dirname, "../rules");

test("every rule is named as buf wants it, once", () => {
  const ids = everyRule.map(({ id }) => id);
  expect(ids.filter((id) => !/^MESH_[A-Z0-9_]{1,58}[A-Z0-9]$/.test(id))).toEqual([]);
  expect(new Set(ids).size).toBe(ids.length);
  expect(lintRules.length + breakingRules.length).toBe(ids.length);
});

test("every rule says what it is for, as buf wants it", () => {
  const bad = everyRule.filter(({ purpose }) => !/^[A-Z].{1,254}\.$/.test(purpose));
  expect(bad.map(({ id }) => id)).toEqual([]);
});

test("every rule is in a file of its name, with a test beside it", () => {
  const files = readdirSync(folder);
  const rules = files.filter((name) => !name.endsWith(".test.ts")).map((name) => name.slice(0, -3));
  expect(everyRule.map(({ id }) => id.slice(5).toLowerCase().replaceAll("_", "-")).sort()).toEqual(
    rules.sort(),
  );
  expect(rules.filter((name) => !files.includes(`${name}.test.ts`))).toEqual([]);
});

test("the documentation names every rule, and no other", () => {
  const text = readFileSync(join(import.meta.dirname, "../../../docs/contracts.md"), "utf8");
  const named = [...text.matchAll(/^\| `(MESH_[A-Z_]+)`/gm)].map(([, id]) => id);
  expect(named.sort()).toEqual(everyRule.map(({ id }) => id).sort());
});
