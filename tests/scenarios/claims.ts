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
const NAMED = /\(([A-Z]\d{1,2}(?:, [A-Z]\d{1,2})*)\)/;

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
  return [...text.matchAll(LITERAL)].flatMap(([, , literal = ""]) => {
    const [all = "", ids = ""] = NAMED.exec(literal) ?? [];
    const title = literal.replace(` ${all}`, "");
    return ids === "" ? [] : ids.split(", ").map((id) => ({ id, file, title }));
  });
}
