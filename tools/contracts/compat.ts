import { execFile } from "node:child_process";
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { checkBreaking } from "./breaking.ts";
import { buf } from "./buf.ts";
import { isWell, type Row, rowsOfBreaking, rowsOfTests, type TestReport, tableOf } from "./compat/table.ts";

const CHECKOUT = resolve(import.meta.dirname, "../..");

/** What is proved by tests, and what it is called in the table. */
const GATES = {
  "tests/contract-mutations.test.ts": "mutations",
  "tests/contract-plugin.test.ts": "rules within buf",
  "tests/event-corpus.test.ts": "recorded events",
  "tests/time-travel.test.ts": "old clients",
  "tests/old-servers.test.ts": "old servers",
};

// What people read while it runs goes to stderr: stdout is the table.
const say = (line: string) => process.stderr.write(`${line}\n`);

say("comparing the contracts with every release and with the main branch");
const [lint, breaking] = [await buf(CHECKOUT, "lint"), await checkBreaking(CHECKOUT)];
if (!lint.ok) say(lint.output.trim());
if (!breaking.ok) say(breaking.lines.join("\n"));
say("running what proves it; some minutes");
const rows: Row[] = [
  {
    gate: "lint rules",
    against: "contracts as they are",
    passed: lint.ok ? 1 : 0,
    failed: lint.ok ? 0 : 1,
    skipped: 0,
  },
  ...rowsOfBreaking(breaking.comparisons),
  ...rowsOfTests(await testReport(), GATES),
];
const table = tableOf(rows);
process.stdout.write(`${table}\n`);
const { GITHUB_STEP_SUMMARY: summary } = process.env;
if (summary) appendFileSync(summary, `## Contracts of then and now\n\n${table}\n`);
if (!isWell(rows)) process.exitCode = 1;

async function testReport(): Promise<TestReport> {
  const dir = mkdtempSync(join(tmpdir(), "weft-compat-"));
  try {
    const file = join(dir, "report.json");
    const vitest = join(CHECKOUT, "node_modules/vitest/vitest.mjs");
    const args = [
      vitest,
      "run",
      "--reporter=default",
      "--reporter=json",
      `--outputFile.json=${file}`,
      ...Object.keys(GATES),
    ];
    const { promise, resolve: done } = Promise.withResolvers<void>();
    // That tests fail is a result; the report says which.
    const run = execFile(process.execPath, args, { cwd: CHECKOUT, maxBuffer: 2 ** 26 }, () => done());
    run.stdout?.pipe(process.stderr);
    run.stderr?.pipe(process.stderr);
    await promise;
    if (!existsSync(file)) throw new Error("the tests came to no report");
    return JSON.parse(readFileSync(file, "utf8"));
  } finally {
    rmSync(dir, { recursive: true });
  }
}
