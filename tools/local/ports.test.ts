import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { resolve } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { assertPortsFree, freePort, freePorts } from "./ports.ts";

async function listenElsewhere(port: number, host = "127.0.0.1"): Promise<number> {
  const script = `require("net").createServer().listen(${port}, "${host}", () => console.log("up")); "the holder"`;
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await once(child, "close");
  });
  return child.pid as number;
}

test("free ports are different, and can be listened on", async () => {
  const ports = await freePorts(50);
  const atOnce = await Promise.all(Array.from({ length: 50 }, freePort));
  expect(new Set([...ports, ...atOnce]).size).toBe(100);
  const server = createServer().listen(ports[0], "127.0.0.1");
  await once(server, "listening");
  server.close();
});

test("processes that look for free ports at the same time find different ones, though nobody listens yet", async () => {
  const script = `
    const { freePorts } = await import(${JSON.stringify(resolve(import.meta.dirname, "ports.ts"))});
    console.log(JSON.stringify(await freePorts(59)));
    process.stdin.resume();`;
  const answers = Array.from({ length: 8 }, async () => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    const [line] = await once(child.stdout, "data");
    return JSON.parse(String(line)) as number[];
  });
  const ports = (await Promise.all(answers)).flat();
  expect(new Set(ports).size).toBe(8 * 59);
});

test("free ports pass the check", async () => {
  await assertPortsFree([{ port: await freePort(), for: "order-1" }]);
});

test("one error names every taken port, what it is for, its holder and what to do", async () => {
  const [first, second, free] = (await freePorts(3)) as [number, number, number];
  const pids = [await listenElsewhere(first), await listenElsewhere(second, "0.0.0.0")];
  const check = assertPortsFree([
    { port: first, for: "order-1" },
    { port: free, for: "payment-1" },
    { port: second, for: "NATS", orElse: "set NATS_URL" },
  ]);
  const error = await check.then(
    () => expect.unreachable("two ports are taken"),
    (thrown: Error) => thrown,
  );
  expect(error.message).toContain(`port ${first} (order-1) is taken by process ${pids[0]} (`);
  expect(error.message).toContain(`port ${second} (NATS) is taken by process ${pids[1]} (`);
  expect(error.message).toContain("node");
  expect(error.message).toContain("; free it, or set NATS_URL");
  expect(error.message).toContain("Stop what holds them, then start again.");
  expect(error.message).not.toContain("payment-1");
});

test("a port that may not be used at all is another error", async () => {
  await expect(assertPortsFree([{ port: 65_536, for: "order-1" }])).rejects.toThrow(/65536/);
});
