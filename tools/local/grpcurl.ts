import { join, resolve } from "node:path";
import { findOnPath, goInstall, outputOf } from "./executables.ts";
import { findNatsServer } from "./nats-server.ts";
import type { Log } from "./own-server.ts";

const GO_MODULE = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3";

/** The path of grpcurl: in the tools folder, else on PATH; undefined if there is none. */
export async function findGrpcurl(toolsDir: string): Promise<string | undefined> {
  const own = join(toolsDir, "grpcurl");
  if ((await outputOf(own, ["-version"])) !== undefined) return own;
  return findOnPath("grpcurl");
}

/** The path of grpcurl, which is built with Go into the tools folder if there is none. Throws with advice if that fails. */
export async function installGrpcurl(toolsDir: string, log: Log): Promise<string> {
  const found = await findGrpcurl(toolsDir);
  if (found !== undefined) return found;
  const own = join(toolsDir, "grpcurl");
  try {
    await goInstall(GO_MODULE, own, log);
  } catch (cause) {
    throw new Error(
      `grpcurl could not be installed: ${(cause as Error).message}. ` +
        "Install Go or grpcurl (https://github.com/fullstorydev/grpcurl/releases), or use node_modules/.bin/buf curl: " +
        "it does the same and is here already.",
      { cause },
    );
  }
  return own;
}

/** Brings every tool that npm cannot bring. Tries each, says what it has, and returns the process's exit code. */
export async function installTools(toolsDir: string, log: Log): Promise<number> {
  let exitCode = 0;
  const tools = {
    "nats-server": () => findNatsServer({ toolsDir, log }),
    grpcurl: () => installGrpcurl(toolsDir, log),
  };
  for (const [name, install] of Object.entries(tools)) {
    try {
      log(`${name}: ${await install()}`);
    } catch (error) {
      log((error as Error).message);
      exitCode = 1;
    }
  }
  return exitCode;
}

if (import.meta.main) {
  process.exitCode = await installTools(resolve(import.meta.dirname, "../../.tools"), console.log);
}
