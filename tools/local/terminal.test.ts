import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test, vi } from "vitest";
import { writeFakeServices } from "./fake-services.ts";
import { isRunning } from "./processes.ts";
import { resetSystem } from "./reset.ts";
import { tempDir } from "./temp-dir.ts";

// Every test starts servers and processes, on a machine that may be busy with other tests.
vi.setConfig({ testTimeout: 60_000 });

const SERVICES = ["product", "review", "order", "payment", "customer", "notification", "audit", "gateway"];
const STUBBORN = `
import { createServer } from "node:http";
createServer((_request, response) => void response.end("{}")).listen(Number(process.env.PORT), process.env.HOST);
process.on("SIGTERM", () => console.log(JSON.stringify({ level: 40, msg: "I stay" })));
process.on("disconnect", () => process.exit(0));
`;

/** A checkout with stand-ins for services, and the real run on free ports in it. */
function checkout(scripts: Record<string, string> = {}) {
  const dir = tempDir();
  const dataDir = join(dir, ".data");
  const servicesDir = writeFakeServices(join(dir, "services"), SERVICES, scripts);
  const module = (path: string) => JSON.stringify(resolve(import.meta.dirname, path));
  writeFileSync(
    join(dir, "run.ts"),
    `import { startSystem } from ${module("../../services/run.ts")};
     import { runInTerminal } from ${module("terminal.ts")};
     const own = ${JSON.stringify({ ports: "free", dataDir, servicesDir })};
     process.exitCode = await runInTerminal({
       startSystem: (options) => startSystem({ ...options, ...own }),
       services: ${JSON.stringify(SERVICES)},
       checkoutDir: ${JSON.stringify(dir)},
       dataDir: ${JSON.stringify(dataDir)},
       firstCommands: ["first", "second"],
     });`,
  );
  onTestFinished(() => resetSystem(dataDir, () => {}));
  return { dir, dataDir, servicesDir, run: (...args: string[]) => run(join(dir, "run.ts"), args) };
}

function run(script: string, args: string[]) {
  const child: ChildProcess = spawn(process.execPath, [script, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    if (stream) createInterface({ input: stream }).on("line", (line) => lines.push(line));
  }
  const closed = once(child, "close").then(([code]) => code as number | null);
  onTestFinished(async () => {
    child.kill("SIGTERM");
    await closed;
  });
  const saidWhat = (start: string) =>
    vi.waitFor(
      () => {
        const line = lines.find((each) => each.startsWith(start));
        expect(line, lines.join("\n")).not.toBe(undefined);
        return line as string;
      },
      { timeout: 30_000, interval: 20 },
    );
  /** The rows of the table, by instance. */
  const pids = () =>
    Object.fromEntries(
      lines.flatMap((line) => {
        const [, instance, pid] = /^\S+ +(\S+) +\d+ +(\d+) +ok$/.exec(line) ?? [];
        return instance && pid ? [[instance, Number(pid)]] : [];
      }),
    );
  return { child, lines, closed, saidWhat, pids };
}

test("it shows the table and what to try, and one Ctrl-C stops everything", async () => {
  const { run } = checkout();
  const { child, saidWhat, pids, closed } = run();
  expect(await saidWhat("ready in ")).toMatch(/^ready in \d+\.\d s; try: first {3}or: second$/);
  await saidWhat("service       instance        port   pid");
  await saidWhat("starting the services: on 127.0.0.1 only, and open there without a token (MESH_AUTH=off)");
  expect(Object.keys(pids())).toEqual([
    ...[
      "product-1",
      "product-2",
      "review-1",
      "order-1",
      "payment-1",
      "customer-1",
      "notification-1",
      "audit-1",
      "gateway-1",
    ],
    ...["postgres", "nats"],
  ]);
  child.kill("SIGINT");
  expect(await closed).toBe(0);
  await saidWhat("all stopped");
  expect(Object.values(pids()).filter(isRunning)).toEqual([]);
});

test("after kill -9 no service survives, and the next start cleans up what is left", async () => {
  const { run } = checkout();
  const first = run();
  await first.saidWhat("ready in ");
  const { postgres, nats, ...services } = first.pids();
  first.child.kill("SIGKILL");
  await first.closed;
  await vi.waitFor(() => expect(Object.values(services).filter(isRunning)).toEqual([]), 5000);
  expect([postgres, nats].map((pid) => isRunning(pid as number))).toEqual([true, true]);

  const second = run();
  await second.saidWhat("ready in ");
  expect([postgres, nats].map((pid) => isRunning(pid as number))).toEqual([false, false]);
  await second.saidWhat(`PostgreSQL: stopping process ${postgres}, left behind`);
});

test("a second Ctrl-C kills at once what does not want to stop", async () => {
  const { run } = checkout({ order: STUBBORN });
  const { child, saidWhat, pids, closed } = run();
  await saidWhat("ready in ");
  child.kill("SIGINT");
  await saidWhat("order-1  ");
  // Past the time in which two signals count as one.
  await vi.waitFor(
    () => {
      child.kill("SIGINT");
      expect(child.exitCode).not.toBe(null);
    },
    { timeout: 4000, interval: 100 },
  );
  await closed;
  await vi.waitFor(() => expect(Object.values(pids()).filter(isRunning)).toEqual([]), 5000);
});

test("without a second Ctrl-C it kills what does not want to stop after a while", async () => {
  const { run } = checkout({ order: STUBBORN });
  const { child, saidWhat, pids, closed } = run();
  await saidWhat("ready in ");
  child.kill("SIGTERM");
  expect(await closed).toBe(0);
  expect(Object.values(pids()).filter(isRunning)).toEqual([]);
});

test("Ctrl-C stops a start that is under way", async () => {
  const { run, dataDir } = checkout();
  const { child, saidWhat, closed } = run();
  await saidWhat("PostgreSQL");
  child.kill("SIGINT");
  expect(await closed).toBe(0);
  await saidWhat("stopped before it was ready");
  expect(existsSync(join(dataDir, "run.pid"))).toBe(false);
});

test("a watched service is restarted when its code changes, and only it", async () => {
  const { run, dir } = checkout();
  mkdirSync(join(dir, "mesh"));
  const { saidWhat, pids } = run("--watch", "order");
  await saidWhat("ready in ");
  await saidWhat("watching services/order, mesh, gen for order");
  appendFileSync(join(dir, "services/order/main.ts"), "// changed\n");
  await saidWhat("services/order/main.ts changed: restarting order");
  await saidWhat("order is back");
  const { "order-1": order, ...others } = pids();
  expect(isRunning(order as number)).toBe(false);
  expect(Object.values(others).every(isRunning)).toBe(true);
});

test("a reset is refused while it runs, and forgets everything when it does not", async () => {
  const { run, dataDir } = checkout();
  const { child, saidWhat, closed } = run();
  await saidWhat("ready in ");
  const refused = run("--reset");
  expect(await refused.closed).toBe(1);
  await refused.saidWhat(`The system runs (process ${child.pid})`);
  const second = run();
  expect(await second.closed).toBe(1);
  await second.saidWhat(`This checkout's system already runs (process ${child.pid})`);
  child.kill("SIGTERM");
  await closed;
  expect(await run("--reset").closed).toBe(0);
  expect(existsSync(dataDir)).toBe(false);
});

test("what it does not understand ends it with a word and exit code 1", async () => {
  const { run } = checkout();
  const unknown = run("--watch", "storefront");
  expect(await unknown.closed).toBe(1);
  await unknown.saidWhat("there is no service named storefront; watch one of product, review");
  const unscaled = run("--scale", "storefront=2");
  expect(await unscaled.closed).toBe(1);
  await unscaled.saidWhat("there is no service named storefront; scale one of product, review");
  expect(await run("--no-such-flag").closed).toBe(1);
  const help = run("--help");
  expect(await help.closed).toBe(0);
  await help.saidWhat("Runs the whole shop");
});
