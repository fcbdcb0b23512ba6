import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { beginningOf, isRunning } from "./processes.ts";
import { runningPid, takeRunLock } from "./run-lock.ts";
import { tempDir } from "./temp-dir.ts";

const quiet = () => {};

async function sleeper(): Promise<number> {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000); console.log()"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  onTestFinished(() => void child.kill("SIGKILL"));
  return child.pid as number;
}

const line = (pid: number, name: string) => `${pid}\t${name}\t${beginningOf(pid)}\n`;

test("one at a time: the second is told who has it", async () => {
  const file = join(tempDir(), "data/run.pid");
  const lock = await takeRunLock(file, quiet);
  expect(runningPid(file)).toBe(process.pid);
  await expect(takeRunLock(file, quiet)).rejects.toThrow(`already runs (process ${process.pid})`);
  lock.release();
  lock.release();
  expect(runningPid(file)).toBe(undefined);
  (await takeRunLock(file, quiet)).release();
  expect(readdirSync(dirname(file))).toEqual([]);
});

test("the file of a process that is gone, or whose id has another owner now, holds nobody up", async () => {
  const file = join(tempDir(), "run.pid");
  for (const content of ["", "4194304\trun\t1\n", `${process.pid}\trun\t1\n`]) {
    writeFileSync(file, content);
    expect(runningPid(file)).toBe(undefined);
    (await takeRunLock(file, quiet)).release();
    expect(existsSync(file)).toBe(false);
  }
});

test("the processes of a killed run are stopped, others with their ids are not", async () => {
  const file = join(tempDir(), "run.pid");
  const ours = await sleeper();
  const others = await sleeper();
  writeFileSync(file, `4194304\trun\t1\n${line(ours, "order-1")}${others}\tpayment-1\t1\n`);
  const said: string[] = [];
  const lock = await takeRunLock(file, (text) => said.push(text));
  expect(isRunning(ours)).toBe(false);
  expect(isRunning(others)).toBe(true);
  expect(said).toEqual([`stopping what an earlier run has left behind: order-1 (${ours})`]);
  lock.release();
});

test("each process is noted once, with its present id", async () => {
  const file = join(tempDir(), "run.pid");
  const lock = await takeRunLock(file, quiet);
  const [first, second, third] = [await sleeper(), await sleeper(), await sleeper()];
  lock.record("order-1", first);
  lock.record("payment-1", second);
  lock.record("order-1", third);
  expect(readFileSync(file, "utf8")).toBe(
    line(process.pid, "run") + line(third, "order-1") + line(second, "payment-1"),
  );
  lock.release();
});
