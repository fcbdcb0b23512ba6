import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { freePort } from "../../tools/local/ports.ts";
import type { Costs } from "./in-process.ts";
import type { Load, Measured } from "./load.ts";
import type { Subject } from "./subjects.ts";

/** One case of one pair. */
export interface PairMeasured extends Measured {
  /** Microseconds of CPU per answered call, of each process. */
  readonly clientUs: number;
  readonly serverUs: number;
}

/** A client and a server, in processes of their own. */
export interface Pair {
  measure(load: Load): Promise<PairMeasured>;
  stop(): Promise<void>;
}

/** What processes are started with. */
export interface PairOptions {
  /** The port of NATS, for peers that need it. */
  readonly natsPort: number | undefined;
  /** Where each process leaves a CPU profile. */
  readonly profileDir: string | undefined;
}

const CHILD = join(import.meta.dirname, "child.ts");

/** Starts the two. Rejects, and leaves nothing behind, if one of them cannot start. */
export async function startPair(subject: Subject, { natsPort, profileDir }: PairOptions): Promise<Pair> {
  const port = String((subject.needsNats ? natsPort : undefined) ?? (await freePort()));
  const children: ChildProcess[] = [];
  const start = async (role: "server" | "client", file: string) => {
    const child = startChild([role, file, port], profileDir && `${subject.name}.${role}`, profileDir);
    children.push(child);
    await answerOf(child);
    return child;
  };
  const stop = async () => {
    await Promise.all(children.map(stopChild));
  };
  try {
    const server = await start("server", subject.server);
    const client = await start("client", subject.client);
    const serverCpu = async () => {
      const { user, system } = (await ask(server, "cpu")) as NodeJS.CpuUsage;
      return user + system;
    };
    return {
      async measure(load) {
        const before = await serverCpu();
        const measured = (await ask(client, load)) as Measured;
        const used = (await serverCpu()) - before;
        const { calls, cpuUs } = measured;
        return { ...measured, clientUs: cpuUs / calls, serverUs: used / calls };
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * How many calls a second a client has for each of another one's, in one process that calls one server: one figure for each
 * load, after a warm-up with all of them.
 */
export async function measureBeside(
  clients: { readonly ours: string; readonly base: string; readonly server: string },
  loads: readonly Load[],
  warmUpMs: number,
): Promise<number[]> {
  const port = String(await freePort());
  const children: ChildProcess[] = [];
  const start = async (args: string[]) => {
    const child = startChild(args, undefined, undefined);
    children.push(child);
    await answerOf(child);
    return child;
  };
  try {
    await start(["server", clients.server, port]);
    const child = await start(["beside", clients.ours, port, clients.base]);
    for (const load of loads) await ask(child, { ...load, ms: warmUpMs });
    const ratios: number[] = [];
    for (const load of loads) ratios.push((await ask(child, load)) as number);
    return ratios;
  } finally {
    await Promise.all(children.map(stopChild));
  }
}

/** The costs of our layers, measured in a process of its own. */
export async function measureCosts(profileDir: string | undefined): Promise<Costs> {
  const child = startChild(["costs"], "in-process", profileDir);
  try {
    return (await answerOf(child)) as Costs;
  } finally {
    await stopChild(child);
  }
}

function startChild(args: string[], name: string | undefined, profileDir: string | undefined): ChildProcess {
  const execArgv = profileDir
    ? ["--cpu-prof", `--cpu-prof-dir=${profileDir}`, `--cpu-prof-name=${name}.cpuprofile`]
    : [];
  return fork(CHILD, args, { execArgv });
}

function ask(child: ChildProcess, message: Load | "cpu"): Promise<unknown> {
  const answer = answerOf(child);
  child.send(message);
  return answer;
}

async function answerOf(child: ChildProcess): Promise<unknown> {
  const gone = new AbortController();
  const died = once(child, "exit", { signal: gone.signal }).then(([code]) => {
    throw new Error(`${child.spawnargs.slice(-3).join(" ")} ended with ${code}`);
  });
  try {
    const [answer] = await Promise.race([once(child, "message", { signal: gone.signal }), died]);
    return answer;
  } finally {
    died.catch(() => {});
    gone.abort();
  }
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  if (child.connected) child.disconnect();
  await ended;
}
