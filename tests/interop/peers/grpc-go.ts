import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { goBuild } from "../../../tools/local/executables.ts";
import type { ClientPeer, ServerPeer } from "./peer.ts";

const program = resolve(import.meta.dirname, "../../../.tools/interop");

/** Builds the peer in Go. Throws if there is no Go: without it nothing would be proved. */
export async function buildGrpcGo(log: (line: string) => void): Promise<void> {
  await goBuild(resolve(import.meta.dirname, "../go"), ".", program, log);
}

/** The names of the cases that it has. */
export async function casesOfGrpcGo(): Promise<string[]> {
  const { stdout } = await promisify(execFile)(program, ["cases"]);
  return stdout.trim().split("\n");
}

/** gRPC by grpc-go, as a client. */
export const grpcGoClient: ClientPeer = {
  name: "grpc-go",
  async run(name, port) {
    try {
      await promisify(execFile)(program, ["call", String(port), name]);
    } catch (error) {
      throw new Error((error as { stderr?: string }).stderr || String(error));
    }
  },
};

/** gRPC by grpc-go, as a server. */
export const grpcGoServer: ServerPeer = {
  name: "grpc-go",
  async start() {
    const child = spawn(program, ["serve"], { stdio: ["pipe", "pipe", "inherit"] });
    const [line] = await once(createInterface({ input: child.stdout }), "line");
    return {
      port: Number(line),
      async stop() {
        const ended = once(child, "close");
        child.stdin.end();
        await ended;
      },
    };
  },
};
