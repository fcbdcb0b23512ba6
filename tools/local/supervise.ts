import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { createInterface } from "node:readline";
import { isDoneWithin, signalProcess, stopInSteps } from "./processes.ts";

const STAYED_UP_MS = 5000;
const FIRST_BACKOFF_MS = 200;
const MAX_BACKOFF_MS = 5000;
const LAST_WORDS_MS = 250;
const KEPT_LINES = 20;

/** How a supervised process ended, and when the next one starts. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Set if the process could not be started at all. */
  readonly error?: Error;
  /** Milliseconds until it is started again; undefined if it was stopped on purpose. */
  readonly restartInMs: number | undefined;
}

export interface SuperviseOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment of the child: nothing of ours is added. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly uid?: number;
  readonly gid?: number;
  /**
   * What ties the child to us. "channel" (the default): an IPC channel, whose end the child takes as the order to stop,
   * so that nothing survives a parent that is killed. "none": for programs that know no such channel.
   */
  readonly tie?: "channel" | "none";
  /** A file that stdout and stderr are appended to. Without it they are handed to `onLine`. */
  readonly outputFile?: string;
  /** Asked in this order before SIGKILL. Defaults to SIGTERM alone. */
  readonly stopSignals?: readonly NodeJS.Signals[];
  readonly onLine?: (line: string) => void;
  readonly onStart?: (pid: number) => void;
  readonly onExit?: (exit: Exit) => void;
}

/** One process that is kept alive until it is stopped. */
export interface Supervised {
  readonly name: string;
  /** Of the present process; undefined while there is none. */
  readonly pid: number | undefined;
  /** How often it was started again, for whatever reason. */
  readonly restarts: number;
  /** The last lines it wrote, oldest first; survives restarts. */
  readonly lastLines: readonly string[];
  /** Ends it for good: asks, waits, kills. Safe to call twice, and while a restart is due. */
  stop(graceMs?: number): Promise<void>;
  /** Starts it again after `stop`. Does nothing while it runs. */
  start(): void;
  /** Stops it and starts it at once; does not count as a failure. */
  restart(graceMs?: number): Promise<void>;
  /** Sends a signal to it, as a fault would: if it dies of it, it is started again. */
  kill(signal: NodeJS.Signals): void;
}

const living = new Set<ChildProcess>();

/** Kills everything this process supervises, without asking. Synchronous, so that it works while we exit. */
export function killEverything(): void {
  for (const child of living) killGroup(child);
}

/**
 * Starts a process and keeps it alive. What dies is started again at once; what keeps dying young waits longer each
 * time, from 200 ms up to 5 s. Each child leads its own process group, so that a terminal's Ctrl-C reaches only us.
 */
export function supervise(options: SuperviseOptions): Supervised {
  const { name, stopSignals = ["SIGTERM"] } = options;
  const lastLines: string[] = [];
  let child: ChildProcess | undefined;
  let gone: Promise<void> = Promise.resolve();
  let wanted = false;
  let restarts = -1;
  let youngDeaths = 0;
  let nextStart: NodeJS.Timeout | undefined;

  function onLine(line: string): void {
    lastLines.push(line);
    if (lastLines.length > KEPT_LINES) lastLines.shift();
    options.onLine?.(line);
  }

  function launch(): void {
    restarts++;
    const startedAtMs = performance.now();
    const { started, ending } = begin(options, onLine);
    child = started;
    if (started) living.add(started);
    gone = ending.then(({ code, signal, error }) => {
      if (started) living.delete(started);
      child = undefined;
      if (error !== undefined) onLine(`cannot start ${options.command}: ${error.message}`);
      const isYoung = performance.now() - startedAtMs < STAYED_UP_MS;
      youngDeaths = isYoung ? youngDeaths + 1 : 0;
      const restartInMs = wanted ? backoffMs(youngDeaths) : undefined;
      options.onExit?.({ code, signal, restartInMs, ...(error === undefined ? {} : { error }) });
      // Asked again: onExit may have stopped us.
      if (restartInMs !== undefined && wanted) nextStart = setTimeout(launch, restartInMs);
    });
    if (started?.pid !== undefined) options.onStart?.(started.pid);
  }

  const supervised: Supervised = {
    name,
    get pid() {
      return child?.pid;
    },
    get restarts() {
      return Math.max(0, restarts);
    },
    lastLines,
    async stop(graceMs = 5000) {
      wanted = false;
      clearTimeout(nextStart);
      const { pid } = child ?? {};
      if (child === undefined || pid === undefined) return gone;
      const stopping = child;
      const send = (signal: NodeJS.Signals) =>
        signal === "SIGKILL" ? killGroup(stopping) : signalProcess(pid, signal);
      await stopInSteps(send, gone, stopSignals, graceMs);
    },
    start() {
      if (wanted) return;
      wanted = true;
      youngDeaths = 0;
      launch();
    },
    async restart(graceMs) {
      await supervised.stop(graceMs);
      supervised.start();
    },
    kill(signal) {
      if (child?.pid !== undefined) signalProcess(child.pid, signal);
    },
  };
  supervised.start();
  return supervised;
}

/** Starts the process, or tells why it cannot be. */
function begin(
  options: SuperviseOptions,
  onLine: (line: string) => void,
): { readonly started?: ChildProcess; readonly ending: Promise<Ending> } {
  try {
    const started = spawnChild(options, onLine);
    return { started, ending: whenGone(started) };
  } catch (error) {
    // Most failures come as an event; some are thrown, such as that of a program that somebody still writes.
    return { ending: Promise.resolve({ code: null, signal: null, error: error as Error }) };
  }
}

function spawnChild(options: SuperviseOptions, onLine: (line: string) => void): ChildProcess {
  const outputFd = options.outputFile === undefined ? undefined : openSync(options.outputFile, "a", 0o600);
  const output = outputFd ?? "pipe";
  const stdio: StdioOptions = ["ignore", output, output];
  if (options.tie !== "none") stdio.push("ipc");
  killWhenWeExit();
  try {
    const child = spawn(options.command, options.args, {
      env: options.env,
      stdio,
      detached: true,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.uid === undefined ? {} : { uid: options.uid }),
      ...(options.gid === undefined ? {} : { gid: options.gid }),
    });
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on("line", onLine);
    }
    return child;
  } finally {
    if (outputFd !== undefined) closeSync(outputFd);
  }
}

interface Ending {
  code: number | null;
  signal: NodeJS.Signals | null;
  error?: Error;
}

async function whenGone(child: ChildProcess): Promise<Ending> {
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const ending = await new Promise<Ending>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
    // Also says that a signal could not be sent; only without a process is it the end.
    child.on("error", (error) => {
      if (child.pid === undefined) resolve({ code: null, signal: null, error });
    });
  });
  // Its last lines are still in the pipes. A grandchild may hold these open for ever, hence the bound.
  if (ending.error === undefined) await isDoneWithin(closed, LAST_WORDS_MS);
  return ending;
}

function backoffMs(youngDeaths: number): number {
  if (youngDeaths <= 1) return 0;
  return Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (youngDeaths - 2));
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  signalProcess(-child.pid, "SIGKILL");
}

let isRegistered = false;

function killWhenWeExit(): void {
  if (isRegistered) return;
  isRegistered = true;
  process.once("exit", killEverything);
}
