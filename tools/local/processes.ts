import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 10;
const SECOND_CHANCE_MS = 1000;

/** The command line of a running process; undefined if there is none, or if it is dead and only not yet reaped. */
export function commandOf(pid: number): string | undefined {
  try {
    const command =
      process.platform === "linux"
        ? readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")
        : ps(pid, "command");
    return command.trim() === "" ? undefined : command.trim();
  } catch {
    return undefined;
  }
}

/** When a process began, in the system's own words: with the id it tells a process from a later one with the same id. */
export function beginningOf(pid: number): string | undefined {
  try {
    return process.platform === "linux" ? linuxStat(pid).startTime : ps(pid, "lstart").trim() || undefined;
  } catch {
    return undefined;
  }
}

/** True while the process runs. A zombie, which a container without an init may keep for ever, does not run. */
export function isRunning(pid: number): boolean {
  try {
    const state = process.platform === "linux" ? linuxStat(pid).state : ps(pid, "stat").trim();
    return state !== "" && !state.startsWith("Z") && !state.startsWith("X");
  } catch {
    return false;
  }
}

/** Sends a signal. Never throws: a process that is gone already needs none. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone, or not ours; the caller waits for it either way.
  }
}

/**
 * Asks politely first, kills last: each signal in turn until the process is gone, then SIGKILL. The first signal has
 * `graceMs` to work, each later one a second.
 */
export async function stopInSteps(
  send: (signal: NodeJS.Signals) => void,
  gone: Promise<void>,
  signals: readonly NodeJS.Signals[],
  graceMs: number,
): Promise<void> {
  let waitMs = graceMs;
  for (const signal of signals) {
    send(signal);
    if (await isDoneWithin(gone, waitMs)) return;
    waitMs = SECOND_CHANCE_MS;
  }
  send("SIGKILL");
  await gone;
}

/** Stops a process that is not our child. Returns when it is gone. */
export async function stopProcess(
  pid: number,
  signals: readonly NodeJS.Signals[],
  graceMs: number,
): Promise<void> {
  const gone = (async () => {
    while (isRunning(pid)) await sleep(POLL_MS);
  })();
  await stopInSteps((signal) => signalProcess(pid, signal), gone, signals, graceMs);
}

/** True if the promise settles within the time. Leaves no timer behind. */
export async function isDoneWithin(promise: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  const timer = new AbortController();
  const late = sleep(timeoutMs, false, { signal: timer.signal }).catch(() => false);
  const done = await Promise.race([promise.then(() => true), late]);
  timer.abort();
  return done;
}

function linuxStat(pid: number): { state: string; startTime: string } {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The second field is the command's name in brackets and may hold anything, brackets too.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", startTime: fields[19] ?? "" };
}

function ps(pid: number, column: string): string {
  return execFileSync("ps", ["-ww", "-o", `${column}=`, "-p", String(pid)], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
}
