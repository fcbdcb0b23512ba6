import { execFileSync } from "node:child_process";
import {
  accessSync,
  constants,
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { brotliDecompressSync, createBrotliDecompress } from "node:zlib";

const ROOT = resolve(import.meta.dirname, "..");
const PACKAGE = join(ROOT, "node_modules/@sparticuz/chromium");
const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** What a test starts Chromium with: the page is our own; as root there is no sandbox. */
export const CHROMIUM_FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--disable-sync",
  "--disable-background-networking",
  "--disable-component-update",
  "--no-first-run",
];

/**
 * Finds a Chromium: the one on PATH, else the one that npm has brought, which is unpacked into `.tools` at first. Rejects
 * where there is none, and says how to get one.
 */
export async function findChromium(): Promise<string> {
  const found = (process.env.PATH ?? "")
    .split(delimiter)
    .flatMap((folder) => NAMES.map((name) => join(folder, name)))
    .find(isExecutable);
  if (found) return found;
  if (process.platform === "linux" && process.arch === "x64") return unpacked();
  throw new Error(`there is no Chromium: install one, so that the PATH has ${NAMES.join(" or ")}`);
}

async function unpacked(): Promise<string> {
  const { version } = JSON.parse(readFileSync(join(PACKAGE, "package.json"), "utf8")) as { version: string };
  const folder = join(ROOT, ".tools", `headless-chromium-${version}`);
  const start = join(folder, "chromium");
  if (existsSync(start)) return start;
  // Another test file may be doing the same, so it is whole before it has its name.
  mkdirSync(join(ROOT, ".tools"), { recursive: true });
  const part = mkdtempSync(`${folder}.`);
  const shell = join(part, "headless-shell");
  await pipeline(
    createReadStream(join(PACKAGE, "bin/chromium.br")),
    createBrotliDecompress(),
    createWriteStream(shell, { mode: 0o755 }),
  );
  // The libraries that a machine without a desktop lacks.
  const libraries = brotliDecompressSync(readFileSync(join(PACKAGE, "bin/al2023.tar.br")));
  execFileSync("tar", ["-xf", "-", "-C", part], { input: libraries });
  writeFileSync(join(part, "chromium"), START, { mode: 0o755 });
  try {
    renameSync(part, folder);
  } catch (error) {
    if (!existsSync(start)) throw error;
    rmSync(part, { recursive: true });
  }
  return start;
}

const START = `#!/bin/sh
here=$(dirname "$0")
LD_LIBRARY_PATH="$here/lib" exec "$here/headless-shell" "$@"
`;

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
