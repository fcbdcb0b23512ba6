import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const executable = fileURLToPath(new URL("../../node_modules/.bin/buf", import.meta.url));
const run = promisify(execFile);

/** Whether a command of buf succeeded, and all that it said. */
export type BufResult = { ok: boolean; output: string };

/** Runs this checkout's buf in a folder. A complaint of buf is a result; only a buf that cannot be started throws. */
export async function buf(dir: string, ...args: string[]): Promise<BufResult> {
  if (!existsSync(executable)) throw new Error("Cannot find buf in node_modules. Run `npm ci` first.");
  try {
    const { stdout, stderr } = await run(process.execPath, [executable, ...args], { cwd: dir });
    return { ok: true, output: stdout + stderr };
  } catch (error) {
    if (!hasExited(error)) throw error;
    return { ok: false, output: error.stdout + error.stderr };
  }
}

function hasExited(error: unknown): error is { code: number; stdout: string; stderr: string } {
  return error instanceof Error && "code" in error && typeof error.code === "number";
}
