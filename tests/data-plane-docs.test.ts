import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { ALLOWANCES } from "../mesh/http2/guard.ts";

const ROOT = resolve(import.meta.dirname, "..");
const page = readFileSync(join(ROOT, "docs/data-plane.md"), "utf8");
const guards = page.slice(page.indexOf("## What each guard bounds"));
const rows = guards.split("\n").filter((line) => line.startsWith("| `"));
const count = (number: number) => number.toLocaleString("en-US");

test.each(Object.entries(ALLOWANCES))(
  "docs/data-plane.md says what %s allows",
  (guard, { burst, perSecond }) => {
    const allowance = `| ${count(burst)}, ${count(perSecond)} a second |`;
    const said = rows.filter((row) => row.startsWith(`| \`${guard}\` |`) && row.includes(allowance));
    expect(said).not.toEqual([]);
  },
);

test("docs/data-plane.md names every guard there is, and no other", () => {
  const named = new Set(rows.map((row) => /^\| `([A-Z_]+)`/.exec(row)?.[1]));
  expect(named).toEqual(new Set([...Object.keys(ALLOWANCES), "SLOW", "UNREAD", "PROTOCOL", "CONNECTIONS"]));
});

test("the tests that docs/data-plane.md names are there", () => {
  const files = [...page.matchAll(/`((?:mesh|tests)\/[\w/.-]+\.ts)`/g)].map(([, file = ""]) => file);
  expect(files.length).toBeGreaterThan(10);
  expect(files.filter((file) => !existsSync(join(ROOT, file)))).toEqual([]);
});
