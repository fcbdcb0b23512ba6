import { execFile, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import type { Log } from "./own-server.ts";

const STILL_BUSY_MS = 15_000;

/** The path of a program on PATH, or undefined. */
export async function findOnPath(name: string): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)("sh", ["-c", 'command -v "$0"', name]);
    return stdout.trim() || undefined;
  } catch {
    return undefined;
  }
}

/** What a program prints when it runs to a good end; undefined if it does not. */
export async function outputOf(
  program: string,
  args: readonly string[],
  cwd?: string,
): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await promisify(execFile)(program, args, cwd === undefined ? {} : { cwd });
    return `${stdout}${stderr}`.trim();
  } catch {
    return undefined;
  }
}

/**
 * Builds a program from its Go module (`path@version`), with Go's own checksum database as the guard, and puts it at
 * `target`, whole or not at all: others may look for it meanwhile. Says what Go downloads, and that it is still busy.
 * Throws if there is no Go or the build fails.
 */
export function goInstall(module: string, target: string, log: Log, signal?: AbortSignal): Promise<void> {
  const args = (binDir: string) => [`GOBIN=${binDir}`, "go", "install", module];
  return build({ what: module, verb: "go install", args, target, log, signal });
}

/**
 * Builds a program of a Go module that lies in `moduleDir`, whose go.mod and go.sum name every version and checksum that
 * it is made of. Otherwise as {@link goInstall}; what is up to date takes a moment.
 */
export function goBuild(moduleDir: string, program: string, target: string, log: Log): Promise<void> {
  const args = (binDir: string) => ["go", "build", "-C", moduleDir, "-o", `${binDir}/`, program];
  return build({ what: program, verb: "go build", args, target, log });
}

interface Build {
  readonly what: string;
  readonly verb: string;
  /** The command that puts the program into this folder, for `env`. */
  readonly args: (binDir: string) => readonly string[];
  readonly target: string;
  readonly log: Log;
  readonly signal?: AbortSignal | undefined;
}

async function build({ what, verb, args, target, log, signal }: Build): Promise<void> {
  if ((await findOnPath("go")) === undefined) throw new Error("Go is not on PATH");
  mkdirSync(dirname(target), { recursive: true });
  const buildDir = mkdtempSync(`${target}-go-`);
  const startedAtMs = performance.now();
  const seconds = () => Math.round((performance.now() - startedAtMs) / 1000);
  log(`building ${what} with Go; the first time this takes about a minute`);
  const busy = setInterval(() => log(`still building ${what} (${seconds()} s)`), STILL_BUSY_MS);
  try {
    await runGo(`${verb} ${what}`, args(buildDir), log, signal);
    const [built] = readdirSync(buildDir);
    if (built === undefined) throw new Error(`${verb} ${what} built nothing`);
    renameSync(join(buildDir, built), target);
    log(`built ${what} in ${seconds()} s`);
  } finally {
    clearInterval(busy);
    rmSync(buildDir, { recursive: true, force: true });
  }
}

function runGo(
  name: string,
  args: readonly string[],
  log: Log,
  signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const go = spawn("env", args, {
      stdio: ["ignore", "ignore", "pipe"],
      ...(signal ? { signal } : {}),
    });
    let lastLine = "";
    createInterface({ input: go.stderr }).on("line", (line) => {
      lastLine = line;
      log(`  ${line}`);
    });
    go.once("error", reject);
    go.once("close", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${name} failed: ${lastLine || `code ${code}`}`));
    });
  });
}
