import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import {
  buildImage,
  compareWithImage,
  latestImage,
  promisedImages,
  released,
  versionOf,
} from "./contract-images.ts";
import { extractContracts, filesAt, mergeBase } from "./merge-base.ts";

const help = `Refuses a change of proto/ that would break someone: an old client, an old server or a stored event.

Usage: node tools/contracts/breaking.ts [--dir <checkout>]

Compares proto/ with every image in contracts/released, because a field that one release dropped must not come back as
something else in a later one, and with the commit where the work left origin/main (or main, if there is no origin).
A major release ends what the majors before it promised: then only its own images count.
Where one of them is missing it says so and compares with the rest. Exits with 1 if something would break.

  --dir <checkout>  The checkout to look at. Defaults to this one.
  --help            Show this text.
`;

/** What came of comparing with one thing that was promised. */
export interface Comparison {
  /** Such as "v0.1.0" or "06a71308cfb8 of main". */
  readonly with: string;
  readonly outcome: "compatible" | "broken" | "not compared";
}

/** Whether nothing breaks, what it was compared with, and lines for people that say what was found. */
export type Report = { ok: boolean; comparisons: Comparison[]; lines: string[] };

/** Compares a checkout's contracts with all that was promised before. */
export async function checkBreaking(checkout: string): Promise<Report> {
  const reports = await Promise.all([againstReleases(checkout), againstMergeBase(checkout)]);
  return {
    ok: reports.every(({ ok }) => ok),
    comparisons: reports.flatMap(({ comparisons }) => comparisons),
    lines: reports.flatMap(({ lines }) => lines),
  };
}

async function againstReleases(checkout: string): Promise<Report> {
  const images = promisedImages(checkout);
  if (images.length === 0) return skipped("a release", "contracts/released holds no image");
  const results = await Promise.all(images.map((image) => compareWithImage(checkout, image)));
  return {
    ok: results.every(({ ok }) => ok),
    comparisons: results.map(({ ok }, index) => comparison(basename(images[index] ?? "", ".binpb"), ok)),
    lines: results.flatMap((result, index) => verdict(images[index] ?? "", result)),
  };
}

async function againstMergeBase(checkout: string): Promise<Report> {
  const base = await mergeBase(checkout);
  if ("missing" in base) return skipped("the main branch", base.missing);
  const name = `${base.commit.slice(0, 12)} of ${base.trunk}`;
  if (await isOfLowerMajor(checkout, base.commit)) return skipped(name, "a new major is released here");
  const dir = await mkdtemp(join(tmpdir(), "weft-breaking-"));
  try {
    if (!(await extractContracts(checkout, base.commit, dir))) return skipped(name, "it has no contracts");
    const image = join(dir, "base.binpb");
    const built = await buildImage(dir, image);
    if (!built.ok) return skipped(name, `its contracts do not build: ${built.output.trim()}`);
    const result = await compareWithImage(checkout, image);
    return { ok: result.ok, comparisons: [comparison(name, result.ok)], lines: verdict(name, result) };
  } finally {
    await rm(dir, { recursive: true });
  }
}

/** True if this checkout has released a major that the commit does not know. */
async function isOfLowerMajor(checkout: string, commit: string): Promise<boolean> {
  const latest = latestImage(checkout);
  const then = (await filesAt(checkout, commit, released)).filter((name) => name.endsWith(".binpb"));
  if (!latest || then.length === 0) return false;
  return then.every((image) => versionOf(image).major < versionOf(latest).major);
}

function verdict(name: string, { ok, output }: { ok: boolean; output: string }): string[] {
  if (ok) return [`Compatible with ${name}.`];
  return [
    `Not compatible with ${name}:`,
    ...output
      .trim()
      .split("\n")
      .map((line) => `  ${line}`),
  ];
}

function skipped(name: string, reason: string): Report {
  const comparisons: Comparison[] = [{ with: name, outcome: "not compared" }];
  return { ok: true, comparisons, lines: [`Not compared with ${name}: ${reason}.`] };
}

function comparison(name: string, ok: boolean): Comparison {
  return { with: name, outcome: ok ? "compatible" : "broken" };
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { dir: { type: "string" }, help: { type: "boolean" } } });
  if (values.help) {
    process.stdout.write(help);
    return;
  }
  const { ok, lines } = await checkBreaking(values.dir ?? fileURLToPath(new URL("../..", import.meta.url)));
  (ok ? process.stdout : process.stderr).write(`${lines.join("\n")}\n`);
  if (!ok) process.exitCode = 1;
}

if (import.meta.main) await main();
