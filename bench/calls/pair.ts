import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { freePort } from "../../tools/local/ports.ts";
import { answerOf, ask, startChild, stopChild } from "./child-process.ts";
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
    const profile = profileDir ? { dir: profileDir, name: `${subject.name}.${role}` } : undefined;
    const child = startChild(CHILD, [role, file, port], { profile });
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
    const child = startChild(CHILD, args);
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
  const profile = profileDir ? { dir: profileDir, name: "in-process" } : undefined;
  const child = startChild(CHILD, ["costs"], { profile });
  try {
    return (await answerOf(child)) as Costs;
  } finally {
    await stopChild(child);
  }
}
