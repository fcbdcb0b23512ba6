import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { atEnd } from "../testing/at-end.ts";

const PROCESS = new URL("process.ts", import.meta.url).href;

/** A process that says what is asked of it, until it is told to end. */
async function endedBySignal(running: string) {
  const script = `
    import { runUntilStopped } from ${JSON.stringify(PROCESS)};
    const say = (what) => process.send(what);
    setInterval(() => {}, 1_000);
    await runUntilStopped("toy", async () => (say("runs"), ${running}));`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  atEnd(async () => void child.kill("SIGKILL"));
  const said: unknown[] = [];
  child.on("message", (what) => {
    said.push(what);
    if (what === "runs") setImmediate(() => child.kill("SIGTERM"));
  });
  const [code] = await once(child, "exit");
  return { said, code };
}

test("who stops leaves first, and stops when that is over", async () => {
  const running = `{
    leave: async () => { say("leaves"); await null; say("has left"); },
    stop: async () => say("stops") }`;
  expect(await endedBySignal(running)).toEqual({ said: ["runs", "leaves", "has left", "stops"], code: 0 });
});

test("who has nobody to tell stops at once", async () => {
  expect(await endedBySignal(`{ stop: async () => say("stops") }`)).toEqual({
    said: ["runs", "stops"],
    code: 0,
  });
});

test("who cannot leave ends with 1", async () => {
  const running = `{ leave: async () => { throw new Error("no"); }, stop: async () => say("stops") }`;
  expect(await endedBySignal(running)).toEqual({ said: ["runs"], code: 1 });
});
