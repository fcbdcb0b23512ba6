import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { thirdPartyFiles } from "./third-party.ts";

const help = `Writes third_party/: the .proto files that ours import, taken from the npm packages that are installed.

Usage: node tools/contracts/vendor-protos.ts [--check] [--dir <folder>]

  --check         Write nothing. Exit with 1 and name the files that differ from the packages.
  --dir <folder>  The folder to write or check. Defaults to third_party of this checkout. Other files in it are removed.
  --help          Show this text.
`;

/** One line per file of the folder that is not what the installed packages say. Empty if there is none. */
export function drift(dir: string): string[] {
  const expected = thirdPartyFiles();
  const present = filesBelow(dir);
  return [
    ...[...expected.keys()].filter((path) => !present.includes(path)).map((path) => `${path} is missing`),
    ...present.filter((path) => !expected.has(path)).map((path) => `${path} comes from no package`),
    ...[...expected]
      .filter(([path, text]) => present.includes(path) && readFileSync(join(dir, path), "utf8") !== text)
      .map(([path]) => `${path} differs from its package`),
  ];
}

/** Makes the folder hold what the installed packages say, and nothing else. */
export function vendor(dir: string): void {
  rmSync(dir, { recursive: true, force: true });
  for (const [path, text] of thirdPartyFiles()) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), text);
  }
}

function filesBelow(dir: string): string[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)).replaceAll("\\", "/"));
}

function main(): number {
  const { values } = parseArgs({
    options: { check: { type: "boolean" }, dir: { type: "string" }, help: { type: "boolean" } },
  });
  const dir = values.dir ?? fileURLToPath(new URL("../../third_party", import.meta.url));
  if (values.help) {
    process.stdout.write(help);
    return 0;
  }
  if (!values.check) {
    vendor(dir);
    return 0;
  }
  const problems = drift(dir);
  if (problems.length === 0) return 0;
  const advice = "Run `node tools/contracts/vendor-protos.ts` after `npm ci`; never edit these files.";
  process.stderr.write(`${problems.map((problem) => `third_party: ${problem}`).join("\n")}\n${advice}\n`);
  return 1;
}

if (import.meta.main) process.exitCode = main();
