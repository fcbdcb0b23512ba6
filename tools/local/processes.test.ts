import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { Writable } from "node:stream";
import { expect, test, vi } from "vitest";
import { beginningOf, commandOf, isDoneWithin, isRunning, stopProcess } from "./processes.ts";

const BOUND = { timeout: 20_000 };

function sleeper(script = "setInterval(() => {}, 1000); console.log('up')") {
  return spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "ignore"] });
}

test("a running process has a command, a beginning, and runs", async () => {
  const child = sleeper();
  const pid = child.pid as number;
  await once(child.stdout, "data");
  expect(commandOf(pid)).toContain("setInterval");
  expect(beginningOf(pid)).toBe(beginningOf(pid));
  expect(beginningOf(pid)).not.toBe(undefined);
  expect(isRunning(pid)).toBe(true);
  child.kill("SIGKILL");
  await once(child, "close");
  expect(commandOf(pid)).toBe(undefined);
  expect(beginningOf(pid)).toBe(undefined);
  expect(isRunning(pid)).toBe(false);
});

test.runIf(process.platform === "linux")(
  "a process that is dead but not yet reaped does not run",
  async () => {
    // The shell leaves a child to a program that never asks for it; it ends when we close what it reads.
    const parent = spawn("sh", ["-c", "cat <&3 & echo $!; exec sleep 60 3<&-"], {
      stdio: ["ignore", "pipe", "ignore", "pipe"],
    });
    if (!parent.stdout) throw new Error("it was started with a pipe");
    const [line] = await once(parent.stdout, "data");
    const pid = Number(String(line));
    const named = () => readFileSync(`/proc/${parent.pid}/comm`, "utf8");
    await vi.waitFor(() => expect(named()).toBe("sleep\n"), BOUND);
    (parent.stdio[3] as Writable).end();
    await vi.waitFor(() => expect(readFileSync(`/proc/${pid}/stat`, "utf8")).toContain(") Z "), BOUND);
    expect(isRunning(pid)).toBe(false);
    parent.kill("SIGKILL");
    await once(parent, "close");
  },
);

test("a process that ignores the polite signals is killed", async () => {
  const child = sleeper("process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('up')");
  const closed = once(child, "close");
  await once(child.stdout, "data");
  await stopProcess(child.pid as number, ["SIGTERM"], 50);
  expect(isRunning(child.pid as number)).toBe(false);
  expect(await closed).toEqual([null, "SIGKILL"]);
});

test("a process that obeys is not killed", async () => {
  const child = sleeper(
    "process.on('SIGTERM', () => process.exit(7)); setInterval(() => {}, 1000); console.log('up')",
  );
  const closed = once(child, "close");
  await once(child.stdout, "data");
  await stopProcess(child.pid as number, ["SIGTERM"], 5000);
  expect(await closed).toEqual([7, null]);
});

test("isDoneWithin tells a settled promise from a late one", async () => {
  expect(await isDoneWithin(Promise.resolve(), 1000)).toBe(true);
  expect(await isDoneWithin(new Promise(() => {}), 1)).toBe(false);
});
