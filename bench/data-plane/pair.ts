import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { freePorts } from "../../tools/local/ports.ts";
import { answerOf, ask, startChild, stopChild } from "../calls/child-process.ts";
import type { Measured } from "../calls/load.ts";
import type { PairMeasured, PairOptions } from "../calls/pair.ts";
import type { Attacked } from "./attacks.ts";
import { IDLE_STREAMS, NEIGHBOUR } from "./cases.ts";
import type { Question, Reply } from "./child.ts";
import type { Held, Memory } from "./idle.ts";
import type { Asked } from "./measure.ts";
import type { Subject } from "./subjects.ts";

/** A client and a server, in processes of their own. */
export interface Pair extends AsyncDisposable {
  /** Undefined if the client cannot do it. */
  measure(asked: Asked): Promise<PairMeasured | undefined>;
  /** What open streams cost. Undefined if the client has none. */
  hold(): Promise<IdleMeasured | undefined>;
  /** A neighbour's calls while somebody attacks the server in this way, or nobody does. */
  attacked(attack: string | undefined, ms: number): Promise<AttackMeasured>;
}

/** A neighbour's calls, and what became of who attacked. */
export interface AttackMeasured
  extends Attacked,
    Pick<Measured, "calls" | "failed" | "error" | "p50Ms" | "p99Ms" | "perSecond"> {}

/** Open streams, and bytes of each process for each of them. */
export interface IdleMeasured extends Held {
  readonly client: Memory;
  readonly server: Memory;
}

const CHILD = join(import.meta.dirname, "child.ts");
const ATTACKER = join(import.meta.dirname, "attacker-child.ts");
// So that the attack has begun when its neighbour begins, and has not ended before.
const AROUND_MS = 300;
// Enough for all code to be there that a stream needs.
const FIRST_STREAMS = 200;

/** Starts the two. Rejects, and leaves nothing behind, if one of them cannot start. */
export async function startPair(subject: Subject, { natsPort, profileDir }: PairOptions): Promise<Pair> {
  await using undo = new AsyncDisposableStack();
  const ports = subject.needsNats ? [natsPort ?? 0] : await freePorts(subject.endpoints ?? 1);
  const start = async (role: "server" | "client", file: string) => {
    const profile = profileDir ? { dir: profileDir, name: `${subject.name}.${role}` } : undefined;
    const args = [role, file, ...ports.map(String)];
    const child = startChild(CHILD, args, { profile, execArgv: ["--expose-gc"] });
    undo.defer(() => stopChild(child));
    await answerOf(child);
    return child;
  };
  const server = await start("server", subject.server);
  const client = await start("client", subject.client);
  const owned = undo.move();

  return {
    async measure(asked) {
      const before = await cpuUs(server);
      const measured = await answered<Measured>(client, asked);
      if (!measured) return undefined;
      const used = (await cpuUs(server)) - before;
      const { calls, cpuUs: clientUs, error } = measured;
      if (calls === 0) throw new Error(error);
      return { ...measured, clientUs: clientUs / calls, serverUs: used / calls };
    },
    async hold() {
      if (!(await answered(client, { hold: FIRST_STREAMS }))) return undefined;
      const memory = () => Promise.all([client, server].map((child) => answered<Memory>(child, "memory")));
      const before = await memory();
      const held = await answered<Held>(client, { hold: IDLE_STREAMS });
      const after = await memory();
      if (!held?.streams) throw new Error(held?.error);
      const each = (at: number, of: keyof Memory) =>
        ((after[at]?.[of] ?? 0) - (before[at]?.[of] ?? 0)) / held.streams;
      const [clientEach, serverEach] = [0, 1].map((at) => ({
        resident: each(at, "resident"),
        heap: each(at, "heap"),
      })) as [Memory, Memory];
      return { ...held, client: clientEach, server: serverEach };
    },
    async attacked(attack, ms) {
      const calling = { case: NEIGHBOUR, ms };
      if (attack === undefined) return { ...(await measuredOf(client, calling)), cutOff: 0, turns: 0 };
      const attacker = startChild(ATTACKER, [attack, String(ports[0])]);
      try {
        await answerOf(attacker);
        const attacking = ask(attacker, { ms: ms + 2 * AROUND_MS }) as Promise<Attacked>;
        await new Promise((resolve) => setTimeout(resolve, AROUND_MS));
        const measured = await measuredOf(client, calling);
        return { ...measured, ...(await attacking) };
      } finally {
        await stopChild(attacker);
      }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function measuredOf(client: ChildProcess, asked: Asked): Promise<Measured> {
  const measured = await answered<Measured>(client, asked);
  if (!measured) throw new Error("a client without unary calls");
  // Of no call there are no times, which JSON has no word for.
  return measured.calls > 0 ? measured : { ...measured, p50Ms: Infinity, p99Ms: Infinity };
}

async function cpuUs(child: ChildProcess): Promise<number> {
  const { user = 0, system = 0 } = (await answered<NodeJS.CpuUsage>(child, "cpu")) ?? {};
  return user + system;
}

async function answered<T>(child: ChildProcess, question: Question): Promise<T | undefined> {
  const reply = (await ask(child, question)) as Reply;
  if ("failure" in reply) throw new Error(reply.failure);
  return reply.answer as T | undefined;
}
