import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { ConnectionLimits } from "../../mesh/rpc/server/connection-limits.ts";
import type { ServerState } from "../../mesh/rpc/server/server.ts";
import { atEnd } from "../../mesh/testing/at-end.ts";
import { until } from "../../mesh/testing/until.ts";
import { MAX_GROWTH_BYTES, MAX_KEPT_BYTES } from "./bounds.ts";
import { neighbour } from "./neighbour.ts";

/** What the server is told beside its defaults. */
export type ServerProcessOptions = ConnectionLimits;

/** A question to its process. */
export interface Asked {
  readonly ask: number;
}

/** What its process says of itself, after a garbage collection. */
export interface Figures extends Asked {
  /** The heap, and what is outside of it. */
  readonly heldBytes: number;
  readonly rss: number;
  /** Messages that handlers of streams have made. */
  readonly said: number;
  /** The guards that have cut connections off, in their order. */
  readonly cutOffs: readonly string[];
  readonly state: ServerState;
}

/** A server that is to be attacked. */
export interface AttackedServer {
  readonly port: number;
  readonly child: ChildProcess;
  /** Of this moment. */
  figures(): Promise<Figures>;
  /**
   * Attacks it, while a neighbour calls it all the time on a connection of its own. After that no call of the neighbour has
   * failed, memory has never grown by more than the bound, all is as it was before, and the connections that were cut off
   * were those of `guards`, which are named once each, in the order of their first.
   */
  survives(name: string, guards: readonly string[], attack: () => Promise<void>): Promise<void>;
}

const POLL_MS = 50;
const MIB = 2 ** 20;

/** Starts one. */
export async function attackedServer(options: ServerProcessOptions = {}): Promise<AttackedServer> {
  const child = fork(join(import.meta.dirname, "server-process.ts"), [JSON.stringify(options)], {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
    execArgv: ["--expose-gc"],
  });
  atEnd(async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  });
  if (!child.stdout) throw new Error("the child has an output");
  const [line] = await once(child.stdout, "data");
  const port = Number(String(line));
  const asked = new Map<number, (figures: Figures) => void>();
  child.on("message", (figures: Figures) => asked.get(figures.ask)?.(figures));
  let count = 0;
  const figures = () =>
    new Promise<Figures>((resolve, reject) => {
      const ask = count++;
      asked.set(ask, resolve);
      child.send({ ask }, (error) => error && reject(error));
    });

  return {
    port,
    child,
    figures,
    async survives(name, guards, attack) {
      const calls = neighbour(port);
      await until(() => calls.answered >= 20);
      const before = await figures();
      const peak = { heldBytes: before.heldBytes, rss: before.rss };
      let isOver = false;
      const watching = (async () => {
        while (!isOver) {
          const now = await figures();
          peak.heldBytes = Math.max(peak.heldBytes, now.heldBytes);
          peak.rss = Math.max(peak.rss, now.rss);
          await new Promise((resolve) => setTimeout(resolve, POLL_MS));
        }
      })();

      await attack();
      const answered = calls.answered;
      await until(() => calls.answered > answered);
      isOver = true;
      await watching;
      expect(await calls.stop()).toEqual([]);
      const after = await until(async () => {
        const now = await figures();
        const { connections, inflight, streams, abandonedHandlers } = now.state;
        return connections + inflight + streams + abandonedHandlers === 0 && now;
      });
      report(name, before, peak, after, calls.answered);
      expect([...new Set(after.cutOffs.slice(before.cutOffs.length))]).toEqual(guards);
      expect(peak.heldBytes - before.heldBytes).toBeLessThan(MAX_GROWTH_BYTES);
      // What a collection has found to be garbage may be given back by the next one only.
      await expect
        .poll(async () => (await figures()).heldBytes - before.heldBytes)
        .toBeLessThan(MAX_KEPT_BYTES);
    },
  };
}

interface Memory {
  readonly heldBytes: number;
  readonly rss: number;
}

/** Adds a line to the table of figures, for who wants one. */
function report(name: string, before: Memory, peak: Memory, after: Memory, calls: number): void {
  const { ATTACK_FIGURES } = process.env;
  if (!ATTACK_FIGURES) return;
  const bytes = [before.heldBytes, peak.heldBytes, after.heldBytes, before.rss, peak.rss];
  const cells = [name, ...bytes.map((each) => (each / MIB).toFixed(1)), calls];
  appendFileSync(ATTACK_FIGURES, `| ${cells.join(" | ")} |\n`);
}
