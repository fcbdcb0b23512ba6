import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { goInstall, outputOf } from "../../tools/local/executables.ts";

const MODULE = "connectrpc.com/conformance";
const VERSION = "v1.0.7";
const CHECKOUT = resolve(import.meta.dirname, "../..");
// Of this version, so that the next one is built beside it.
const PROGRAM = join(CHECKOUT, ".tools", `connectconformance-${VERSION}`);
const GENERATED = join(CHECKOUT, ".tools/conformance");

type Log = (line: string) => void;

/** The path of `connectconformance`, built with Go into the tools folder if it is not there. Throws with advice if that fails. */
export async function installSuite(log: Log): Promise<string> {
  if ((await outputOf(PROGRAM, ["--version"]))?.endsWith(VERSION)) return PROGRAM;
  try {
    await goInstall(`${MODULE}/cmd/connectconformance@${VERSION}`, PROGRAM, log);
  } catch (cause) {
    const advice = "Install Go (https://go.dev/dl).";
    throw new Error(`the conformance suite could not be built: ${(cause as Error).message}. ${advice}`, {
      cause,
    });
  }
  return PROGRAM;
}

/** Generates what the programs under test speak, from the .proto files of the suite's own module. */
export async function generateContract(): Promise<void> {
  const run = promisify(execFile);
  const { stdout } = await run("go", ["mod", "download", "-json", `${MODULE}@${VERSION}`]);
  const { Dir: moduleDir } = JSON.parse(stdout) as { Dir: string };
  const template = {
    version: "v2",
    plugins: [
      {
        local: ["node_modules/.bin/node", "node_modules/.bin/protoc-gen-es"],
        out: GENERATED,
        opt: ["target=ts", "import_extension=ts", "erasable_syntax=true"],
      },
    ],
  };
  rmSync(GENERATED, { recursive: true, force: true });
  const args = ["generate", join(moduleDir, "proto"), "--template", JSON.stringify(template)];
  await run(join(CHECKOUT, "node_modules/.bin/buf"), args, { cwd: CHECKOUT });
}

if (import.meta.main) {
  await installSuite(console.log);
  await generateContract();
}
