import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Log } from "./own-server.ts";
import { beginningOf, isRunning, stopProcess } from "./processes.ts";

interface Entry {
  readonly name: string;
  readonly pid: number;
  /** Tells the process from a later one with the same id. */
  readonly began: string;
}

/** The right to be the one system that runs on a data folder. */
export interface RunLock {
  /** Notes a process that belongs to the run, so that a later run can stop it if this one is killed. */
  record(name: string, pid: number): void;
  /** Gives the right back. Safe to call twice. */
  release(): void;
}

/** The process id of the run that holds the lock; undefined if there is none, or only the file of a dead one. */
export function runningPid(file: string): number | undefined {
  const [owner] = readEntries(file);
  return owner && isAlive(owner) ? owner.pid : undefined;
}

/**
 * Takes the lock, or throws an error that names the process that has it. The lock of a killed run is taken over, after
 * stopping those of its processes that still run.
 */
export async function takeRunLock(file: string, log: Log): Promise<RunLock> {
  mkdirSync(dirname(file), { recursive: true });
  const entries = [entryOf("run", process.pid)];
  while (!createFile(file, format(entries))) {
    const holder = runningPid(file);
    if (holder !== undefined) {
      throw new Error(
        `This checkout's system already runs (process ${holder}). Stop it there with Ctrl-C, or with: kill ${holder}`,
      );
    }
    const left = readEntries(file);
    await stopLeftOvers(left, log);
    // Not if another run has taken the lock over while we waited.
    if (format(readEntries(file)) === format(left)) rmSync(file, { force: true });
  }
  return {
    record(name, pid) {
      const index = entries.findIndex((entry) => entry.name === name);
      entries.splice(index === -1 ? entries.length : index, 1, entryOf(name, pid));
      replaceFile(file, format(entries));
    },
    release() {
      if (readEntries(file)[0]?.pid === process.pid) rmSync(file, { force: true });
    },
  };
}

/** Stops what a killed run has left running. Its processes stop by themselves when they miss it; this waits for them. */
async function stopLeftOvers(entries: readonly Entry[], log: Log): Promise<void> {
  const leftOver = entries.filter(isAlive);
  if (leftOver.length === 0) return;
  log(
    `stopping what an earlier run has left behind: ${leftOver.map(({ name, pid }) => `${name} (${pid})`).join(", ")}`,
  );
  await Promise.all(leftOver.map(({ pid }) => stopProcess(pid, ["SIGTERM"], 2000)));
}

function isAlive({ pid, began }: Entry): boolean {
  return isRunning(pid) && beginningOf(pid) === began;
}

function entryOf(name: string, pid: number): Entry {
  return { name, pid, began: beginningOf(pid) ?? "" };
}

function format(entries: readonly Entry[]): string {
  return entries.map(({ pid, name, began }) => `${pid}\t${name}\t${began}\n`).join("");
}

function readEntries(file: string): Entry[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return [];
  }
  return text.split("\n").flatMap((line) => {
    const [pid, name, began] = line.split("\t");
    return pid && name && began ? [{ pid: Number(pid), name, began }] : [];
  });
}

/** Creates the file with its content in one step, so that nobody reads half of it. False if it is there. */
function createFile(file: string, content: string): boolean {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, content);
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function replaceFile(file: string, content: string): void {
  const draft = `${file}.${process.pid}`;
  // The folder may have been removed under a running system, which is no reason for it to end.
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(draft, content);
  renameSync(draft, file);
}
