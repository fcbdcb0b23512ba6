import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { startSystem } from "../services/run.ts";
import { signIn } from "../tests/shop.ts";
import { freePort } from "../tools/local/ports.ts";
import { resetSystem } from "../tools/local/reset.ts";
import { HOST } from "./calls/peer.ts";
import type { Asked, MeasuredAgain } from "./gateway/child.ts";
import { PROXY, REST, type Round, report } from "./gateway/report.ts";
import { installed, load, machine } from "./machine.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "3" },
    profile: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(`Measures REST and Connect through the gateway to one instance of product, beside a bare fastify and undici proxy.

  --rounds N      rounds, of which the medians count (5)
  --seconds N     length of a turn (3)
  --profile DIR   a CPU profile of the gateway, there

The report goes to bench/results/gateway.md, unless --profile is given.`);
  process.exit(0);
}
const [rounds, seconds] = [values.rounds, values.seconds].map(Number) as [number, number];
const profileDir = values.profile && resolve(values.profile);
const IN_FLIGHT = 64;
const WARM_UP_MS = 1_500;
const HERE = import.meta.dirname;
const CHILD = join(HERE, "gateway/child.ts");
const RESULTS = join(HERE, "results", "gateway.md");
const JSON_TYPE = { "content-type": "application/json" };

const circumstances = {
  machine: machine(),
  load: load(),
  date: new Date(),
  rounds,
  seconds,
  inFlight: IN_FLIGHT,
};
console.log(`${circumstances.machine}; load ${circumstances.load}`);
const dataDir = mkdtempSync(join(tmpdir(), "weft-bench-"));
const children: ChildProcess[] = [];
if (profileDir) mkdirSync(profileDir, { recursive: true });
const system = await startSystem({
  ports: "free",
  dataDir,
  scale: { product: 1 },
  // Counted like any other call, and never over.
  env: {
    RATE_LIMIT_CALLS_PER_ADDRESS: "1000000000",
    RATE_LIMIT_CALLS_PER_CALLER: "1000000000",
    ...(profileDir && { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${profileDir}` }),
  },
  say: (line) => console.log(line),
});
const results = new Map<string, Round[]>();
try {
  const [gateway, product] = [`http://${system.address("gateway")}`, `http://${system.address("product")}`];
  const proxyPort = await freePort();
  const proxy = await start("proxy", String(proxyPort), product);
  const client = await start("client");
  const gatewayPid = system.instances.find(({ service }) => service === "gateway")?.pid;
  const signedIn = await signIn(system.address("gateway"), "ada");

  const connect = {
    method: "POST",
    path: "/shop.product.v1.ProductService/ListProducts",
    body: '{"pageSize":1}',
  } as const;
  const rest = { method: "GET", path: "/v1/products?page_size=1" } as const;
  const between = { origin: gateway, pid: gatewayPid };
  const ways = {
    direct: { ...connect, headers: JSON_TYPE, origin: product, pid: undefined },
    [PROXY]: { ...connect, headers: JSON_TYPE, origin: `http://${HOST}:${proxyPort}`, pid: proxy.pid },
    connect: { ...connect, headers: JSON_TYPE, ...between },
    "connect-user": { ...connect, headers: { ...JSON_TYPE, ...signedIn }, ...between },
    "rest-open": { ...rest, headers: {}, ...between },
    [REST]: { ...rest, headers: { ...signedIn }, ...between },
  };

  for (const { pid: _, ...way } of Object.values(ways)) await ask(client, { ...way, ...during(WARM_UP_MS) });
  for (let round = 1; round <= rounds; round++) {
    for (const [name, { pid, ...way }] of Object.entries(ways)) {
      const before = cpuUs(pid);
      const { calls, failed, error, shed, ...measured } = await ask(client, {
        ...way,
        ...during(seconds * 1_000),
      });
      if (failed > 0) throw new Error(`${failed} calls of ${name} failed: ${error}`);
      const entry = { ...measured, cpuUs: (cpuUs(pid) - before) / calls, shed: shed / calls };
      results.set(name, [...(results.get(name) ?? []), entry]);
      console.log(
        `${round}/${rounds}  ${name.padEnd(14)} ${Math.round(measured.perSecond)}/s  ${Math.round(entry.cpuUs)} us`,
      );
    }
  }
} finally {
  for (const child of children) child.disconnect();
  await system.stop();
  await resetSystem(dataDir, () => {});
  rmSync(dataDir, { recursive: true, force: true });
}

const page = report(results, {
  ...circumstances,
  versions: installed("bench", "fastify", "undici").join(", "),
});
console.log(`\n${page}`);
if (!profileDir) {
  mkdirSync(join(HERE, "results"), { recursive: true });
  writeFileSync(RESULTS, page);
  console.log(`written to ${RESULTS}`);
}

function during(ms: number) {
  return { inFlight: IN_FLIGHT, bytes: 1, ms };
}

async function start(...args: string[]): Promise<ChildProcess> {
  const child = fork(CHILD, args);
  children.push(child);
  await once(child, "message");
  return child;
}

async function ask(child: ChildProcess, asked: Asked): Promise<MeasuredAgain> {
  const answer = once(child, "message");
  child.send(asked);
  const [measured] = await answer;
  return measured;
}

/** Microseconds of CPU that a process has used so far, in steps of 10 ms (Linux only; else NaN). */
function cpuUs(pid: number | undefined): number {
  if (pid === undefined) return 0;
  try {
    // After the name, which may hold anything, in parentheses.
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
    return (Number(fields[11]) + Number(fields[12])) * 10_000;
  } catch {
    return Number.NaN;
  }
}
