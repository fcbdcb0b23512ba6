import type { Comparison } from "../breaking.ts";

/** What one gate found of one thing. */
export interface Row {
  readonly gate: string;
  /** What it was held against. */
  readonly against: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** What `buf breaking` found. */
export function rowsOfBreaking(comparisons: readonly Comparison[]): Row[] {
  return comparisons.map(({ with: against, outcome }) => ({
    gate: "breaking rules",
    against,
    passed: outcome === "compatible" ? 1 : 0,
    failed: outcome === "broken" ? 1 : 0,
    skipped: outcome === "not compared" ? 1 : 0,
  }));
}

/** A report of vitest in JSON, as far as it matters here. */
export interface TestReport {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly {
      readonly ancestorTitles: readonly string[];
      readonly status: string;
    }[];
  }[];
}

/**
 * What the tests found, a row for each group of them. A file that failed without a test that did is a failure too: it
 * could not be run, or what its tests need could not be set up.
 */
export function rowsOfTests(report: TestReport, gates: Readonly<Record<string, string>>): Row[] {
  return report.testResults.flatMap(({ name, status, assertionResults }) => {
    const gate = Object.entries(gates).find(([file]) => name.endsWith(file))?.[1] ?? name;
    const groups = Map.groupBy(assertionResults, ({ ancestorTitles }) =>
      ancestorTitles.slice(0, 2).join(", "),
    );
    const rows = [...groups].map(([group, tests]) => ({
      gate,
      against: group || "as a whole",
      passed: tests.filter((each) => each.status === "passed").length,
      failed: tests.filter((each) => each.status === "failed").length,
      skipped: tests.filter((each) => each.status !== "passed" && each.status !== "failed").length,
    }));
    if (status === "passed" || !isWell(rows)) return rows;
    return [...rows, { gate, against: "what its tests need", passed: 0, failed: 1, skipped: 0 }];
  });
}

/** The rows as a table in Markdown, which people can read as it is, with what came of it all below. */
export function tableOf(rows: readonly Row[]): string {
  const head = ["gate", "against", "passed", "failed", "skipped"];
  const cells = rows.map((row) => [
    row.gate,
    row.against,
    ...[row.passed, row.failed, row.skipped].map(count),
  ]);
  const widths = head.map((title, column) =>
    Math.max(title.length, ...cells.map((each) => each[column]?.length ?? 0)),
  );
  const line = (texts: readonly string[]) =>
    `| ${texts.map((text, column) => (column < 2 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0))).join(" | ")} |`;
  const rule = widths.map((width, column) => (column < 2 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [line(head), line(rule), ...cells.map(line), "", conclusion(rows)].join("\n");
}

/** True if nothing failed. */
export function isWell(rows: readonly Row[]): boolean {
  return rows.every(({ failed }) => failed === 0);
}

function conclusion(rows: readonly Row[]): string {
  const bad = rows.filter(({ failed }) => failed > 0).map(({ gate, against }) => `${gate} (${against})`);
  const skipped = rows.reduce((sum, row) => sum + row.skipped, 0);
  const rest = skipped > 0 ? ` ${skipped} skipped: not everything could be looked at here.` : "";
  return bad.length === 0 ? `Compatible.${rest}` : `Not compatible: ${bad.join("; ")}.${rest}`;
}

function count(number: number): string {
  return number === 0 ? "" : String(number);
}
