import { join } from "node:path";
import { untilHealthy } from "./health.ts";
import { openLogFile } from "./log-file.ts";
import { describeExit, type Log } from "./own-server.ts";
import { supervise } from "./supervise.ts";

// What a process needs of its caller's environment. All else stays out: it may hold secrets of others.
const PASSED_ON =
  /^(PATH|HOME|USER|TMPDIR|TZ|LANG|LC_.*|OTEL_.*|NODE_OPTIONS|NODE_EXTRA_CA_CERTS|LOG_LEVEL)$/;

export interface InstanceOptions {
  readonly service: string;
  /** The name of this one process: "product-1". */
  readonly instance: string;
  /** Of 127.0.0.1. */
  readonly port: number;
  /** The program and its arguments. */
  readonly command: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** All that it says goes to `<instance>.log` in here, unchanged. */
  readonly logDir: string;
  readonly log: Log;
  readonly onLine: (line: string) => void;
  readonly onStart: (pid: number) => void;
}

/** One process of a service, kept alive. */
export interface Instance {
  readonly service: string;
  /** "product-1". */
  readonly instance: string;
  readonly port: number;
  /** Undefined while it is down. */
  readonly pid: number | undefined;
  /** How often it was started again. */
  readonly restarts: number;
  /** Returns once it answers; throws, quoting its last lines, if it does not in time. */
  untilHealthy(timeoutMs: number, signal?: AbortSignal): Promise<void>;
  stop(graceMs?: number): Promise<void>;
  /** Stops it for good. */
  end(graceMs?: number): Promise<void>;
  start(): void;
  kill(signal: NodeJS.Signals): void;
}

/** Starts one process of a service. It says on stdout what it does; that goes to its log file and to `onLine`. */
export function startInstance(options: InstanceOptions): Instance {
  const { service, instance, port, log } = options;
  const [command, ...args] = options.command;
  const logFile = openLogFile(join(options.logDir, `${instance}.log`));
  let hasDied = false;
  const supervised = supervise({
    name: instance,
    command,
    args,
    env: options.env,
    cwd: options.cwd,
    onStart(pid) {
      if (hasDied) log(`${instance} runs again (process ${pid})`);
      options.onStart(pid);
    },
    onExit(exit) {
      hasDied = true;
      log(describeExit(instance, exit));
    },
    onLine(line) {
      logFile.write(line);
      options.onLine(line);
    },
  });
  return {
    service,
    instance,
    port,
    get pid() {
      return supervised.pid;
    },
    get restarts() {
      return supervised.restarts;
    },
    untilHealthy: (timeoutMs, signal) => untilHealthy({ supervised, port }, timeoutMs, signal),
    stop: (graceMs) => supervised.stop(graceMs),
    async end(graceMs) {
      await supervised.stop(graceMs);
      logFile.close();
    },
    start: () => supervised.start(),
    kill: (signal) => supervised.kill(signal),
  };
}

/** The part of the caller's environment that every service may see, and of the rest only what is named. */
export function passedOn(
  env: Readonly<Record<string, string | undefined>>,
  names: readonly string[] = [],
): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && (PASSED_ON.test(name) || names.includes(name))) passed[name] = value;
  }
  return passed;
}
