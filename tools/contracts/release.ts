import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { buildImage, compareWithImage, latestImage, promisedImages, versionOf } from "./contract-images.ts";
import { contractLine, releaseChangelog } from "./release/changelog.ts";
import { type Proposal, propose } from "./release/propose.ts";
import { readImage } from "./release/read-image.ts";
import { compareVersions, parseVersion, textOf, type Version } from "./release/version.ts";

const help = `Releases the contracts as they are.

Usage: node tools/contracts/release.ts [--version <x.y.z>] [--dir <checkout>]

Says which version the changes since the latest release ask for, and why: major if something breaks, minor if something
is new, patch if anything else differs. With a version that is not lower it writes the image to contracts/released, the
entry in CHANGELOG.md, and the version in package.json and its lock file. Commit them together.

  --version <x.y.z>  What to release. Left out, it only says what it would be.
  --dir <checkout>   The checkout to look at. Defaults to this one.
  --help             Show this text.
`;

/** What became of a release, in lines for people. */
export interface Outcome {
  readonly ok: boolean;
  readonly lines: readonly string[];
}

/** Releases a checkout's contracts; without a version only says which it would be. */
export async function release(checkout: string, wanted?: string, today = new Date()): Promise<Outcome> {
  const dir = await mkdtemp(join(tmpdir(), "weft-release-"));
  try {
    const image = join(dir, "now.binpb");
    const built = await buildImage(checkout, image);
    if (!built.ok) return { ok: false, lines: ["The contracts do not build:", built.output.trim()] };
    const latest = latestImage(checkout);
    const version = wanted === undefined ? undefined : parseVersion(wanted);
    if (latest === undefined) return firstRelease(checkout, image, version, today);
    const breaking = await breakingChanges(checkout);
    const proposal = propose(
      versionOf(latest),
      readImage(join(checkout, latest)),
      readImage(image),
      breaking,
    );
    const lines = linesOf(proposal, versionOf(latest));
    if (proposal.level === "none") return { ok: version === undefined, lines };
    if (version === undefined)
      return { ok: true, lines: [...lines, `Release it: make release VERSION=${textOf(proposal.version)}`] };
    if (compareVersions(version, proposal.version) < 0) {
      const refusal = `Refused: ${textOf(version)} is lower than ${textOf(proposal.version)}, which these changes ask for.`;
      return { ok: false, lines: [...lines, refusal] };
    }
    const written = write(checkout, image, version, contractLine(version, proposal), today);
    return { ok: true, lines: [...lines, ...written] };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function firstRelease(checkout: string, image: string, version: Version | undefined, today: Date): Outcome {
  const first = "Nothing was released before, so any version will do.";
  if (version === undefined) return { ok: true, lines: [first] };
  const line = `- **contracts**: \`contracts/released/v${textOf(version)}.binpb\`, which every later change is compared with.`;
  return { ok: true, lines: [first, ...write(checkout, image, version, line, today)] };
}

async function breakingChanges(checkout: string): Promise<string[]> {
  const results = await Promise.all(promisedImages(checkout).map((each) => compareWithImage(checkout, each)));
  return [...new Set(results.filter(({ ok }) => !ok).flatMap(({ output }) => output.trim().split("\n")))];
}

function linesOf({ level, version, reasons }: Proposal, latest: Version): string[] {
  if (level === "none") return [`Nothing to release: the contracts are those of ${textOf(latest)}.`];
  return [
    `After ${textOf(latest)} comes ${textOf(version)} at least: ${level}.`,
    ...(["major", "minor", "patch"] as const).flatMap((each) =>
      reasons[each].length === 0 ? [] : [`${each}:`, ...reasons[each].map((reason) => `  ${reason}`)],
    ),
  ];
}

function write(checkout: string, image: string, version: Version, line: string, today: Date): string[] {
  const to = join("contracts", "released", `v${textOf(version)}.binpb`);
  mkdirSync(dirname(join(checkout, to)), { recursive: true });
  copyFileSync(image, join(checkout, to));
  const changelog = join(checkout, "CHANGELOG.md");
  const text = existsSync(changelog) ? readFileSync(changelog, "utf8") : "# Changelog\n\n";
  writeFileSync(changelog, releaseChangelog(text, version, today.toISOString().slice(0, 10), line));
  // Changes package.json and the lock file, and nothing else.
  const args = [
    "version",
    textOf(version),
    "--no-git-tag-version",
    "--allow-same-version",
    "--ignore-scripts",
  ];
  execFileSync("npm", args, { cwd: checkout, stdio: "pipe" });
  return [`Wrote ${to}, CHANGELOG.md, package.json and package-lock.json. Commit them together.`];
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { version: { type: "string" }, dir: { type: "string" }, help: { type: "boolean" } },
  });
  if (values.help) {
    process.stdout.write(help);
    return 0;
  }
  try {
    const checkout = values.dir ?? fileURLToPath(new URL("../..", import.meta.url));
    const { ok, lines } = await release(checkout, values.version || undefined);
    (ok ? process.stdout : process.stderr).write(`${lines.join("\n")}\n`);
    return ok ? 0 : 1;
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    return 1;
  }
}

if (import.meta.main) process.exitCode = await main();
