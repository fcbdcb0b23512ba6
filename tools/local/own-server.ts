import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { assertPortsFree } from "./ports.ts";
import { commandOf, stopProcess } from "./processes.ts";
import { type Exit, supervise } from "./supervise.ts";

const POLL_MS = 20;
const QUOTED_LINES = 12;
// Enough for what a killed predecessor leaves behind to go away, few enough to fail fast.
const MAX_RESTARTS_AT_START = 4;

/** Says to people what happens, a line at a time. */
export type Log = (line: string) => void;

/** A server of ours that runs. */
export interface OwnServer {
  readonly url: string;
  /** Of the present process; undefined while it is down. */
  readonly pid: number | undefined;
  /** How often it was started again. */
  readonly restarts: number;
  /** Asks it to stop, waits, then kills it. Safe to call twice. */
  stop(graceMs?: number): Promise<void>;
  /** Starts it again after `stop` and waits until it accepts. */
  start(): Promise<void>;
  /** Sends it a signal, as a fault would; if it dies of it, it is started again. */
  kill(signal: NodeJS.Signals): void;
}

export interface OwnServerOptions {
  /** As people know it: "PostgreSQL". */
  readonly name: string;
  readonly url: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly uid?: number;
  readonly gid?: number;
  readonly port: number;
  /** What to do instead of freeing the port. */
  readonly orElse: string;
  /** What the server says goes here, beginning empty. A file and no pipe, so that it can go on if we are killed. */
  readonly logFile: string;
  readonly stopSignals: readonly NodeJS.Signals[];
  readonly stopGraceMs: number;
  readonly startTimeoutMs: number;
  /** True once the server serves; false to be asked again; throws if it never will. */
  readonly accepts: () => Promise<boolean>;
  readonly log: Log;
  readonly signal?: AbortSignal;
}

/** Starts a server of another maker, keeps it alive, and returns once it serves. On failure nothing is left running. */
export async function startOwnServer(options: OwnServerOptions): Promise<OwnServer> {
  const { name, log, port, orElse } = options;
  options.signal?.throwIfAborted();
  await assertPortsFree([{ port, for: name, orElse }]);
  writeFileSync(options.logFile, "", { mode: 0o600 });
  const supervised = supervise({
    ...options,
    outputFile: options.logFile,
    tie: "none",
    onExit: (exit) => log(describeExit(name, exit)),
  });
  const server: OwnServer = {
    url: options.url,
    get pid() {
      return supervised.pid;
    },
    get restarts() {
      return supervised.restarts;
    },
    stop: (graceMs = options.stopGraceMs) => supervised.stop(graceMs),
    async start() {
      const before = supervised.restarts;
      supervised.start();
      await untilItServes(options, () => supervised.restarts - before);
    },
    kill: (signal) => supervised.kill(signal),
  };
  try {
    await untilItServes(options, () => supervised.restarts);
    return server;
  } catch (error) {
    await server.stop(0);
    throw error;
  }
}

/** One line on how a process ended and what comes next. */
export function describeExit(name: string, exit: Exit): string {
  const how = exit.error?.message ?? exit.signal ?? `code ${exit.code}`;
  if (exit.restartInMs === undefined) return `${name} stopped`;
  const when = exit.restartInMs === 0 ? "at once" : `in ${exit.restartInMs} ms`;
  return `${name} died (${how}), starts again ${when}`;
}

/** A server that an earlier, killed run of ours has left behind, found by the pid file it wrote. */
export interface LeftOver {
  readonly name: string;
  readonly pidFile: string;
  /** What its command line holds, all of it: a process that has none of this only has the same id. */
  readonly marks: readonly string[];
  readonly stopSignals: readonly NodeJS.Signals[];
  readonly log: Log;
}

/** Stops what an earlier run has left behind. True if there was something. */
export async function stopLeftOver({ name, pidFile, marks, stopSignals, log }: LeftOver): Promise<boolean> {
  const pid = readPid(pidFile);
  const command = pid === undefined ? undefined : commandOf(pid);
  if (pid === undefined || command === undefined) return false;
  if (!marks.every((mark) => command.includes(mark))) return false;
  log(`${name}: stopping process ${pid}, left behind by an earlier run`);
  await stopProcess(pid, stopSignals, 5000);
  return true;
}

async function untilItServes(options: OwnServerOptions, restarts: () => number): Promise<void> {
  const { name, startTimeoutMs, logFile } = options;
  const endMs = performance.now() + startTimeoutMs;
  while (!(await options.accepts())) {
    options.signal?.throwIfAborted();
    const fault =
      restarts() >= MAX_RESTARTS_AT_START
        ? "does not stay up"
        : performance.now() > endMs
          ? `does not accept connections after ${startTimeoutMs / 1000} s`
          : undefined;
    if (fault) throw new Error(`${name} ${fault}. Its last words, from ${logFile}:\n${lastLines(logFile)}`);
    await sleep(POLL_MS);
  }
}

function readPid(file: string): number | undefined {
  try {
    return Number.parseInt(readFileSync(file, "utf8"), 10) || undefined;
  } catch {
    return undefined;
  }
}

function lastLines(file: string): string {
  const lines = readFileSync(file, "utf8").trimEnd().split("\n");
  return lines
    .slice(-QUOTED_LINES)
    .map((line) => `  ${line}`)
    .join("\n");
}
