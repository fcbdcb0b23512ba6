import type { Claim } from "./claims.ts";
import { type Figures, misses, type Situation } from "./scenario.ts";

/** A line of the table of scenarios. */
export interface Row {
  readonly id: string;
  readonly what: string;
  readonly expected: string;
  readonly measured: string;
  readonly verdict: "holds" | "MISSED" | "tested" | "NOBODY";
}

/** What came of a situation. */
export function rowOf(situation: Situation, figures: Figures): Row {
  const { id, what, expects } = situation;
  const expected = Object.entries(expects).map(([name, { text }]) => `${name} ${text}`);
  const measured = Object.entries(figures).map(([name, value]) => `${name} ${format(value)}`);
  return {
    id,
    what,
    expected: expected.join("; "),
    measured: measured.join("; "),
    verdict: misses(situation, figures).length === 0 ? "holds" : "MISSED",
  };
}

/** Who shows what no scenario shows: a test of real parts, run by `make test`. */
export function rowOfTests(id: string, claims: readonly Claim[]): Row {
  const [first, ...more] = claims.filter((claim) => claim.id === id);
  if (!first)
    return { id, what: "", expected: "a test whose title names it", measured: "none", verdict: "NOBODY" };
  const others = more.length === 0 ? "" : ` and ${more.length} more`;
  return {
    id,
    what: first.title,
    expected: "the test passes",
    measured: `${first.file}${others}`,
    verdict: "tested",
  };
}

/** The rows as a table in Markdown. */
export function markdown(rows: readonly Row[]): string {
  const cell = (text: string) => text.replaceAll("|", "\\|");
  const line = ({ id, what, expected, measured, verdict }: Row) =>
    `| ${[id, what, expected, measured, verdict].map(cell).join(" | ")} |`;
  return [
    "| id | what | expected | measured | verdict |",
    "| --- | --- | --- | --- | --- |",
    ...rows.map(line),
  ].join("\n");
}

function format(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "never";
  if (Number.isNaN(value)) return "none";
  return String(Number(value.toPrecision(value >= 100 ? 4 : 3)));
}
