import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { FULL, openStage, SHORT, type Stage } from "../tests/chaos/stage.ts";
import { TRIALS, type Trial } from "../tests/chaos/trials.ts";
import { markdown, type Row, rowOf } from "../tests/scenarios/report.ts";
import { outputOf } from "../tools/local/executables.ts";
import { findNatsServer, findOldestNatsServer } from "../tools/local/nats-server.ts";
import { load, machine } from "./machine.ts";

const IDS = [...new Set(TRIALS.map(({ id }) => id))];
const BROKERS = { oldest: findOldestNatsServer, current: findNatsServer };
type BrokerName = keyof typeof BROKERS;
const brokerNames = Object.keys(BROKERS) as BrokerName[];

const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true, default: [] },
    broker: { type: "string", multiple: true, default: [] },
    orders: { type: "string" },
    seed: { type: "string", default: "2026" },
    short: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(`Kills brokers, databases, relays and consumers, and counts what became of the events. PostgreSQL, NATS and the
processes are its own.

  --only ID        this one, such as F2; may be repeated: ${IDS.join(" ")}
  --broker NAME    ${brokerNames.join(" or ")}: the oldest nats-server that will do, or a current one (both)
  --orders N       of five events each, in a trial (${FULL.orders})
  --seed N         chooses what is killed (2026)
  --short          as make test does it: ${SHORT.orders} orders, waits cut short

All of them take about an hour. The table goes to bench/results/chaos.md, unless --only, --broker or --short is given.
The exit code is 1 if something is missed.`);
  process.exit(0);
}

const unknown = [
  ...values.only.filter((id) => !IDS.includes(id)),
  ...values.broker.filter((name) => !brokerNames.includes(name as BrokerName)),
];
if (unknown.length > 0) {
  throw new Error(`there is no ${unknown.join(", ")}; there are ${[...IDS, ...brokerNames].join(" ")}`);
}
const profile = values.short ? SHORT : FULL;
const orders = Number(values.orders ?? profile.orders);
const seed = Number(values.seed);
if (!(Number.isInteger(orders) && orders > 0 && Number.isInteger(seed)))
  throw new Error("--orders and --seed must be whole numbers, --orders above 0");

const isWhole =
  ![values.only, values.broker].some((some) => some.length > 0) && !values.orders && !values.short;
const trials = TRIALS.filter(({ id }) => values.only.length === 0 || values.only.includes(id));
const toolsDir = join(import.meta.dirname, "..", ".tools");
const about = `${machine()}, everything on this machine; load ${load()} at the start`;
console.log(`${about}; seed ${seed}\n`);

const rows = new Map<string, Row[]>();
for (const name of brokerNames.filter((name) => values.broker.length === 0 || values.broker.includes(name))) {
  const natsServer = await BROKERS[name]({ toolsDir, log: console.log });
  const version = /v([\d.]+)/.exec((await outputOf(natsServer, ["--version"])) ?? "")?.[1] ?? "";
  const stage = await openStage({ profile: { ...profile, orders }, seed, natsServer, say: console.log });
  try {
    rows.set(version, await runAll(stage, version));
  } finally {
    await stage.close();
  }
}

const tables = [...rows]
  .map(([version, own]) => `## nats-server ${version}\n\n${markdown(own)}\n`)
  .join("\n");
console.log(`\n${tables}`);
if (isWhole) {
  const results = join(import.meta.dirname, "results");
  mkdirSync(results, { recursive: true });
  const text = `# Chaos

\`make chaos\` on ${new Date().toISOString().slice(0, 10)}: ${about}.

Each trial has a database and a broker of its own, two relays and two consumers in processes of their own, and makes
${orders} orders of five events each unless it says otherwise. What is killed gets SIGKILL, every ${FULL.killEveryMs.least} to
${FULL.killEveryMs.most} ms, and starts again at once. The tables that tell what was produced and what was handled have no constraint
that could hide a mistake. A control shows that the trial can see one. \`make test\` runs the same with fewer events.
"Without effect" are deliveries that changed nothing: events handled before, and events that came too early.

${tables}`;
  writeFileSync(join(results, "chaos.md"), text);
  console.log("kept in bench/results/chaos.md");
}
const missed = [...rows].flatMap(([version, own]) =>
  own.filter(({ verdict }) => verdict === "MISSED").map(({ id, what }) => `${version} ${id} ${what}`),
);
if (missed.length > 0) {
  console.log(`\nmissed: ${missed.join("; ")}`);
  process.exitCode = 1;
}

async function runAll(stage: Stage, version: string): Promise<Row[]> {
  const own: Row[] = [];
  for (const trial of trials)
    own.push(await runOne(stage, trial, `${version}  ${own.length + 1}/${trials.length}`));
  return own;
}

async function runOne(stage: Stage, trial: Trial, where: string): Promise<Row> {
  const begunAtMs = performance.now();
  process.stderr.write(`${where}  ${trial.id}  ${trial.what} ... `);
  const row = rowOf(trial, await trial.run(stage));
  const seconds = Math.round((performance.now() - begunAtMs) / 1_000);
  process.stderr.write(`${row.verdict} (${seconds} s)\n    ${row.measured}\n`);
  return row;
}
