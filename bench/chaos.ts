import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { FULL, openStage, SHORT, type Stage } from "../tests/chaos/stage.ts";
import { TRIALS, type Trial } from "../tests/chaos/trials.ts";
import { markdown, type Row, rowOf } from "../tests/scenarios/report.ts";
import { outputOf } from "../tools/local/executables.ts";
import { findNatsServer, findOldestNatsServer } from "../tools/local/nats-server.ts";
import { load, machine } from "./machine.ts";

/** What came of a trial, and under which conditions. */
interface KeptRow {
  readonly under: string;
  readonly version: string;
  readonly row: Row;
}

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
    resume: { type: "boolean", default: false },
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
  --resume         leaves out what has held before: with the same sources committed, as many orders and the same seed

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

// Told to end, it takes with it what it has started: its processes go when it exits, PostgreSQL in good order before.
let opening: Promise<Stage> | undefined;
for (const [signal, exitCode] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)
  process.once(signal, async () => {
    await (await opening)?.close().catch(() => {});
    process.exit(exitCode);
  });

// What was measured is kept at once, so that a run that is cut short can go on.
const keptFile = join(import.meta.dirname, "..", ".data", "chaos.jsonl");
const sources = await outputOf("git", ["rev-parse", "HEAD:mesh", "HEAD:services", "HEAD:tests/chaos"]);
const under = JSON.stringify({ sources, profile: { ...profile, orders }, seed });
const before = values.resume && existsSync(keptFile) ? readFileSync(keptFile, "utf8").trim().split("\n") : [];
const heldBefore = before
  .map((line) => JSON.parse(line) as KeptRow)
  .filter((kept) => kept.under === under && kept.row.verdict === "holds");

const rows = new Map<string, Row[]>();
for (const name of brokerNames.filter((name) => values.broker.length === 0 || values.broker.includes(name))) {
  const natsServer = await BROKERS[name]({ toolsDir, log: console.log });
  const version = /v([\d.]+)/.exec((await outputOf(natsServer, ["--version"])) ?? "")?.[1] ?? "";
  opening = openStage({ profile: { ...profile, orders }, seed, natsServer, say: console.log });
  const stage = await opening;
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

\`make chaos\` on ${new Date().toISOString().slice(0, 10)}: ${about}.${
    heldBefore.length > 0
      ? ` It was cut short, and went on with the same sources after ${heldBefore.length} trials.`
      : ""
  }

Each trial has a database and a broker of its own, two relays and two consumers in processes of their own, of which
one consumer handles events in batches, and makes
${orders} orders of five events each unless it says otherwise. What is killed gets SIGKILL, every ${FULL.killEveryMs.least} to
${FULL.killEveryMs.most} ms, and starts again at once. The tables that tell what was produced and what was handled have no constraint
that could hide a mistake. A control shows that the trial can see one. \`make test\` runs the same with fewer events.
"Without effect" are deliveries that changed nothing: events handled before, and events that came too early. "Taken back by
the broker" are deliveries to a consumer that had just gone: the broker saw that by itself, and gave them to another at once.

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
  for (const trial of trials) {
    const kept = heldBefore.find((each) => each.version === version && each.row.what === trial.what);
    const row = kept?.row ?? (await runOne(stage, trial, `${version}  ${own.length + 1}/${trials.length}`));
    if (!kept) keep({ under, version, row });
    own.push(row);
  }
  return own;
}

function keep(row: KeptRow): void {
  mkdirSync(dirname(keptFile), { recursive: true });
  appendFileSync(keptFile, `${JSON.stringify(row)}\n`);
}

async function runOne(stage: Stage, trial: Trial, where: string): Promise<Row> {
  const begunAtMs = performance.now();
  process.stderr.write(`${where}  ${trial.id}  ${trial.what} ... `);
  const row = rowOf(trial, await trial.run(stage));
  const seconds = Math.round((performance.now() - begunAtMs) / 1_000);
  process.stderr.write(`${row.verdict} (${seconds} s)\n    ${row.measured}\n`);
  return row;
}
