import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

/** A test whose title names what it shows: "never waits (C3, B16)". */
export interface Claim {
  readonly id: string;
  /** From the root. */
  readonly file: string;
  readonly title: string;
}

const ROOT = resolve(import.meta.dirname, "../..");
const FOLDERS = ["mesh", "services", "tests", "tools"];
// Titles stand in tests, and in the suites that tests share.
const IS_TEST = /(\.test|-suite)\.ts$/;
const LITERAL = /(["`])((?:\\.|(?!\1)[^\\\n])*)\1/g;
const NAMED = / ?\(([A-Z]\d{1,2}(?:, [A-Z]\d{1,2})*)\)/;
const DESCRIBE = /^( *)describe(?:\.\w+\(.*\))?\(\s*(["`])((?:\\.|(?!\2)[^\\\n])*)\2/gm;
// What a test fills in for each of its cases.
const FILLED_IN = /%[a-z]|\$\{[^}]*\}|\$\w+/g;

/** What the titles of all tests claim. */
export function claimsOfTests(): Claim[] {
  return FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .filter((file) => IS_TEST.test(file))
      .sort()
      .flatMap((file) => claimsOf(join(folder, file), readFileSync(join(ROOT, folder, file), "utf8"))),
  );
}

/** What the titles in a file claim: each string that names something in parentheses. */
export function claimsOf(file: string, text: string): Claim[] {
  return [...text.matchAll(LITERAL)].flatMap(({ index, 2: literal = "" }) => {
    const [, ids = ""] = NAMED.exec(literal) ?? [];
    if (ids === "") return [];
    const title = [groupAt(text, index), literal].map((part) =>
      part.replace(NAMED, "").replace(FILLED_IN, "..."),
    );
    return ids.split(", ").map((id) => ({ id, file, title: title.join(" ").trim() }));
  });
}

/** The title of the `describe` around this place; empty if there is none. */
function groupAt(text: string, index: number): string {
  const before = text.slice(0, index);
  // One is open up to the brackets that close it, which stand as far in as it does.
  const isOpen = ({ index, 1: indent = "" }: RegExpExecArray) => !before.includes(`\n${indent}});`, index);
  return [...before.matchAll(DESCRIBE)].findLast(isOpen)?.[3] ?? "";
}
