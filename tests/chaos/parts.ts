import { systemClock } from "../../mesh/core/clock.ts";
import type { OwnServer } from "../../tools/local/own-server.ts";
import { supervise } from "../../tools/local/supervise.ts";
import { type Plan, READY } from "./plan.ts";

/** A process that faults happen to. */
export interface Part {
  readonly name: string;
  /** Kills it without a warning, and starts it again at once. */
  kill(): Promise<void>;
  /** Asks it to end, waits until it has, starts it again, and waits until it has begun, as a rolling restart does. */
  restart(): Promise<void>;
  /** Ends it without a warning until `start`. */
  halt(): Promise<void>;
  start(): Promise<void>;
  /** Sends a signal that does not end it. */
  signal(signal: "SIGSTOP" | "SIGCONT"): void;
  /** How often it has ended when nobody had ended it. */
  readonly crashes: number;
  /** The last lines it wrote. */
  readonly lastLines: readonly string[];
}

const START_WITHIN_MS = 60_000;
const RETRY_MS = 100;

/** A process of ours, kept alive: `relay` or `consumer`. */
export function startProcess(
  program: "relay" | "consumer",
  name: string,
  plan: () => Plan,
): Part & { end(): Promise<void> } {
  let crashes = 0;
  let isWanted = true;
  let begun = Promise.withResolvers<void>();
  const file = new URL(`./${program}-process.ts`, import.meta.url).pathname;
  const launch = () =>
    supervise({
      name,
      command: process.execPath,
      args: [file, JSON.stringify(plan())],
      env: { PATH: process.env.PATH ?? "" },
      onLine(line) {
        if (line === READY) begun.resolve();
      },
      onExit: () => {
        if (isWanted) crashes++;
      },
    });
  let supervised = launch();
  async function halt(): Promise<void> {
    isWanted = false;
    supervised.kill("SIGKILL");
    await supervised.stop(0);
  }
  async function start(): Promise<void> {
    isWanted = true;
    supervised = launch();
  }
  return {
    name,
    halt,
    start,
    async kill() {
      await halt();
      await start();
    },
    async restart() {
      isWanted = false;
      await supervised.stop(10_000);
      begun = Promise.withResolvers();
      await start();
      await begun.promise;
    },
    signal: (signal) => supervised.kill(signal),
    get crashes() {
      return crashes;
    },
    get lastLines() {
      return supervised.lastLines;
    },
    end: halt,
  };
}

/** A server of another maker as a part. */
export function serverPart(name: string, server: OwnServer): Part {
  const halt = async () => {
    server.kill("SIGKILL");
    await server.stop(0);
  };
  async function start(): Promise<void> {
    // The processes that a killed PostgreSQL leaves behind may hold its memory for a moment more.
    const endMs = systemClock.now() + START_WITHIN_MS;
    for (;;) {
      try {
        return await server.start();
      } catch (error) {
        if (systemClock.now() > endMs) throw error;
        await systemClock.sleep(RETRY_MS);
      }
    }
  }
  return {
    name,
    halt,
    start,
    async kill() {
      await halt();
      await start();
    },
    async restart() {
      await server.stop();
      await start();
    },
    signal: (signal) => server.kill(signal),
    crashes: 0,
    lastLines: [],
  };
}
