import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, copyFileSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { isRunning } from "./processes.ts";
import { type Exit, type SuperviseOptions, supervise } from "./supervise.ts";
import { tempDir } from "./temp-dir.ts";

// Processes take their time to start, on a machine that may be busy with other tests.
const BOUND = 20_000;
const UP = "setInterval(() => {}, 1000); process.on('disconnect', () => process.exit(0)); console.log('up');";

function start(script: string, options: Partial<SuperviseOptions> = {}) {
  const lines: string[] = [];
  const exits: Exit[] = [];
  const supervised = supervise({
    name: "child",
    command: process.execPath,
    args: ["-e", script],
    env: {},
    onLine: (line) => lines.push(line),
    onExit: (exit) => exits.push(exit),
    ...options,
  });
  onTestFinished(() => supervised.stop(0));
  const said = (line: string, times = 1) =>
    vi.waitFor(() => expect(lines.filter((each) => each === line)).toHaveLength(times), BOUND);
  return { supervised, lines, exits, said };
}

test("what is killed is started again at once, as another process", async () => {
  const { supervised, exits, said } = start(UP);
  await said("up");
  const first = supervised.pid;
  supervised.kill("SIGKILL");
  await said("up", 2);
  expect(exits).toEqual([{ code: null, signal: "SIGKILL", restartInMs: 0 }]);
  expect(supervised.pid).not.toBe(first);
  expect(supervised.restarts).toBe(1);
});

test("what keeps dying young waits longer each time", async () => {
  const { supervised, exits } = start("process.exit(3)");
  await vi.waitFor(() => expect(exits.length).toBeGreaterThanOrEqual(4), BOUND);
  await supervised.stop();
  expect(exits.slice(0, 4).map(({ code, restartInMs }) => [code, restartInMs])).toEqual([
    [3, 0],
    [3, 200],
    [3, 400],
    [3, 800],
  ]);
});

test("stopping while a restart is due prevents it", async () => {
  // From the beginning: a timer that was real would be neither moved nor cleared.
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const started: number[] = [];
  const [atOnce, later] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const { supervised } = start("process.exit(3)", {
    onStart: (pid) => started.push(pid),
    onExit: ({ restartInMs }) => (restartInMs === 0 ? atOnce : later).resolve(),
  });
  await atOnce.promise;
  vi.advanceTimersByTime(0);
  await later.promise;
  await supervised.stop();
  vi.advanceTimersByTime(10_000);
  expect(started).toHaveLength(2);
  expect(supervised.pid).toBe(undefined);
});

test("the last lines arrive before the exit is told, a line without an end too", async () => {
  const many =
    "for (let i = 0; i < 5000; i++) process.stdout.write(i + '\\n'); process.stdout.write('last words')";
  let linesAtExit: number | undefined;
  const { supervised, lines } = start(many, { onExit: () => (linesAtExit ??= lines.length) });
  await vi.waitFor(() => expect(linesAtExit).not.toBe(undefined), BOUND);
  await supervised.stop();
  expect(linesAtExit).toBe(5001);
  expect(lines.slice(4998, 5001)).toEqual(["4998", "4999", "last words"]);
  expect(supervised.lastLines.length).toBeLessThanOrEqual(20);
});

test("stop asks first, and kills what does not listen", async () => {
  const { supervised, exits, said } = start(`process.on('SIGTERM', () => console.log('no')); ${UP}`);
  await said("up");
  const pid = supervised.pid as number;
  // It may take its time to say so; then patience is over.
  const asked = supervised.stop(60_000);
  await said("no");
  await Promise.all([asked, supervised.stop(0)]);
  expect(isRunning(pid)).toBe(false);
  expect(exits).toEqual([{ code: null, signal: "SIGKILL", restartInMs: undefined }]);
});

test("stop works on a process that is suspended", async () => {
  const { supervised, said } = start(UP);
  await said("up");
  const pid = supervised.pid as number;
  supervised.kill("SIGSTOP");
  await supervised.stop(50);
  expect(isRunning(pid)).toBe(false);
});

test("stop is safe to call twice", async () => {
  const { supervised, said } = start(UP);
  await said("up");
  await Promise.all([supervised.stop(), supervised.stop()]);
  await supervised.stop();
  expect(supervised.pid).toBe(undefined);
});

test("a process that was stopped can be started again", async () => {
  const { supervised, said } = start(UP);
  await said("up");
  await supervised.stop();
  supervised.start();
  supervised.start();
  await said("up", 2);
  expect(supervised.restarts).toBe(1);
});

test("a restart is no failure: what dies after it still comes back at once", async () => {
  const { supervised, exits, said } = start(UP);
  await said("up");
  await supervised.restart();
  await said("up", 2);
  supervised.kill("SIGKILL");
  await said("up", 3);
  expect(exits.map(({ restartInMs }) => restartInMs)).toEqual([undefined, 0]);
});

test("the child sees the environment it was given and nothing else", async () => {
  const { lines } = start(`console.log(JSON.stringify(process.env)); ${UP}`, { env: { PORT: "1" } });
  await vi.waitFor(() => expect(lines).toContain("up"), BOUND);
  expect(JSON.parse(lines[0] ?? "")).toEqual({ PORT: "1" });
});

test("output can go to a file, over restarts", async () => {
  const outputFile = join(tempDir(), "out.log");
  const { supervised } = start(UP, { outputFile });
  const written = (text: string) =>
    vi.waitFor(() => expect(readFileSync(outputFile, "utf8")).toBe(text), BOUND);
  await written("up\n");
  supervised.kill("SIGKILL");
  await written("up\nup\n");
});

test("a command that does not exist is told as such", async () => {
  const { supervised, exits, lines } = start("", { command: "/no/such/program" });
  await vi.waitFor(() => expect(exits.length).toBeGreaterThan(1), BOUND);
  await supervised.stop();
  expect(exits[0]?.error?.message).toContain("ENOENT");
  expect(lines[0]).toContain("cannot start /no/such/program");
});

test("what cannot be started now is tried again", async () => {
  const program = join(tempDir(), "program");
  copyFileSync("/bin/sleep", program);
  // Nobody may run a program that somebody still writes.
  const writer = openSync(program, "r+");
  const { supervised, exits } = start("", { command: program, args: ["60"] });
  await vi.waitFor(() => expect(exits.length).toBeGreaterThan(1), BOUND);
  expect(exits[0]?.error?.message).toContain("ETXTBSY");
  closeSync(writer);
  await vi.waitFor(() => expect(supervised.pid).toBeGreaterThan(0), BOUND);
});

test("nothing survives when the parent is killed, or ends without stopping its children", async () => {
  const dir = tempDir();
  const script = join(dir, "parent.ts");
  writeFileSync(
    script,
    `import { supervise } from ${JSON.stringify(join(import.meta.dirname, "supervise.ts"))};
     const child = supervise({
       name: "child", command: process.execPath, args: ["-e", ${JSON.stringify(UP)}], env: {},
       onLine: () => console.log(child.pid),
     });
     process.on("SIGUSR2", () => process.exit(0));`,
  );
  for (const signal of ["SIGKILL", "SIGUSR2"] as const) {
    const parent = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = await once(parent.stdout, "data");
    const pid = Number(String(line));
    expect(isRunning(pid)).toBe(true);
    parent.kill(signal);
    await once(parent, "close");
    await vi.waitFor(() => expect(isRunning(pid)).toBe(false), BOUND);
  }
});
