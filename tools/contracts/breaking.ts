import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { buildImage, compareWithImage, releasedImages } from "./contract-images.ts";
import { extractContracts, mergeBase } from "./merge-base.ts";

const help = `Refuses a change of proto/ that would break someone: an old client, an old server or a stored event.

Usage: node tools/contracts/breaking.ts [--dir <checkout>]

Compares proto/ with every image in contracts/released, because a field that one release dropped must not come back as
something else in a later one, and with the commit where the work left origin/main (or main, if there is no origin).
Where one of them is missing it says so and compares with the rest. Exits with 1 if something would break.

  --dir <checkout>  The checkout to look at. Defaults to this one.
  --help            Show this text.
`;

/** Whether nothing breaks, and lines for people that say what was compared and found. */
export type Report = { ok: boolean; lines: string[] };

/** Compares a checkout's contracts with all that was promised before. */
export async function checkBreaking(checkout: string): Promise<Report> {
  const reports = await Promise.all([againstReleases(checkout), againstMergeBase(checkout)]);
  return { ok: reports.every(({ ok }) => ok), lines: reports.flatMap(({ lines }) => lines) };
}

async function againstReleases(checkout: string): Promise<Report> {
  const images = releasedImages(checkout);
  if (images.length === 0) return skipped("a release", "contracts/released holds no image");
  const results = await Promise.all(images.map((image) => compareWithImage(checkout, image)));
  return {
    ok: results.every(({ ok }) => ok),
    lines: results.flatMap((result, index) => verdict(images[index] ?? "", result)),
  };
}

async function againstMergeBase(checkout: string): Promise<Report> {
  const base = await mergeBase(checkout);
  if ("missing" in base) return skipped("the main branch", base.missing);
  const name = `${base.commit.slice(0, 12)} of ${base.trunk}`;
  const dir = await mkdtemp(join(tmpdir(), "weft-breaking-"));
  try {
    if (!(await extractContracts(checkout, base.commit, dir))) return skipped(name, "it has no contracts");
    const image = join(dir, "base.binpb");
    const built = await buildImage(dir, image);
    if (!built.ok) return skipped(name, `its contracts do not build: ${built.output.trim()}`);
    const result = await compareWithImage(checkout, image);
    return { ok: result.ok, lines: verdict(name, result) };
  } finally {
    await rm(dir, { recursive: true });
  }
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
  return { ok: true, lines: [`Not compared with ${name}: ${reason}.`] };
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
