import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { goBuild } from "../../tools/local/executables.ts";

const CHECKOUT = resolve(import.meta.dirname, "../..");
const MAX_SECONDS_PER_CASE = 2;

/** How many cases of h2spec a server has passed. */
export interface Count {
  readonly passed: number;
  readonly skipped: number;
  readonly failed: number;
}

/** The path of h2spec, built with Go into the tools folder. Throws with advice if that fails. */
export async function buildH2spec(log: (line: string) => void): Promise<string> {
  const target = resolve(CHECKOUT, ".tools/h2spec");
  try {
    await goBuild(import.meta.dirname, "github.com/summerwind/h2spec/cmd/h2spec", target, log);
  } catch (cause) {
    throw new Error(
      `h2spec could not be built: ${(cause as Error).message}. Install Go (https://go.dev/dl).`,
      {
        cause,
      },
    );
  }
  return target;
}

/**
 * Puts a server on 127.0.0.1 through every case of h2spec, those that RFC 9113 and RFC 7541 only recommend too. What
 * h2spec prints goes to `print` as it comes. Rejects if h2spec ends without having counted.
 */
export async function runH2spec(h2spec: string, port: number, print: (text: string) => void): Promise<Count> {
  const args = ["--strict", "--host", "127.0.0.1", "--port", String(port)];
  const child = spawn(h2spec, [...args, "--timeout", String(MAX_SECONDS_PER_CASE)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    print(text);
  });
  const code = await new Promise((end, fail) => child.once("error", fail).once("close", end));
  const count = readCount(output);
  if (!count) throw new Error(`h2spec ended with code ${code} and counted nothing`);
  return count;
}

/** What the last line of h2spec's output counts; undefined if it has none. */
export function readCount(output: string): Count | undefined {
  const line = /^\d+ tests, (\d+) passed, (\d+) skipped, (\d+) failed\s*$/m.exec(output);
  if (!line) return undefined;
  const [passed = 0, skipped = 0, failed = 0] = line.slice(1).map(Number);
  return { passed, skipped, failed };
}
