import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { CallRecord } from "../../mesh/testing/simulator/results.ts";
import type { ClientPlan, ServerPlan } from "./plan.ts";

/** A server in a process of its own, on a port that it keeps. */
export interface ServerProcess {
  readonly port: number;
  /** Work that begins now takes so many times as long. */
  slow(by: number): void;
  /** How many attempts have reached its handler since it was started last. */
  attempts(): Promise<number>;
  /** Ends it: SIGKILL at once, SIGTERM when its calls are done. */
  kill(signal: "SIGKILL" | "SIGTERM"): Promise<void>;
  /** Starts it anew on its port. */
  restart(): Promise<void>;
}

const started = new Set<ChildProcess>();

/** Starts a server, and resolves when it takes calls. */
export async function startServer(plan: ServerPlan): Promise<ServerProcess> {
  let child: ChildProcess;
  let port = 0;
  async function restart(): Promise<void> {
    child = start("server.ts", [JSON.stringify(plan), String(port)]);
    port = (await messageOf(child)) as number;
  }
  await restart();
  return {
    get port() {
      return port;
    },
    slow: (by) => void child.send({ slowdown: by }),
    attempts() {
      const answer = messageOf(child);
      child.send("attempts");
      return answer as Promise<number>;
    },
    async kill(signal) {
      const ended = once(child, "exit");
      child.kill(signal);
      await ended;
      started.delete(child);
    },
    restart,
  };
}

/** Starts several alike. */
export function startServers(count: number, plan: ServerPlan): Promise<ServerProcess[]> {
  return Promise.all(Array.from({ length: count }, () => startServer(plan)));
}

/** Has a client of its own process make calls, and resolves with what became of them. */
export async function callFrom(plan: ClientPlan): Promise<readonly CallRecord[]> {
  const child = start("client.ts", []);
  await messageOf(child);
  const answer = messageOf(child);
  child.send(plan);
  const records = (await answer) as CallRecord[];
  await end(child);
  return records;
}

/** Ends all that still runs. */
export async function endAll(): Promise<void> {
  await Promise.all([...started].map(end));
}

function start(file: string, args: readonly string[]): ChildProcess {
  // Structured clones, which keep Infinity.
  const child = fork(join(import.meta.dirname, file), args, { serialization: "advanced" });
  started.add(child);
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  started.delete(child);
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

async function messageOf(child: ChildProcess): Promise<unknown> {
  const gone = new AbortController();
  const died = once(child, "exit", { signal: gone.signal }).then(([code, signal]) => {
    throw new Error(`${child.spawnargs.slice(1).join(" ")} ended with ${code ?? signal}`);
  });
  died.catch(() => {});
  try {
    const [message] = await Promise.race([once(child, "message", { signal: gone.signal }), died]);
    return message;
  } finally {
    gone.abort();
  }
}
