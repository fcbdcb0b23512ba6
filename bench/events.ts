import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { outputOf } from "../tools/local/executables.ts";
import { findNatsServer } from "../tools/local/nats-server.ts";
import {
  type Measured,
  measureConsumers,
  measurePublish,
  measureRaw,
  measureRelay,
  measureWay,
  TEXT,
} from "./events/measures.ts";
import { openPlaces, type Place, type Profile } from "./events/place.ts";
import { format, report } from "./events/report.ts";
import { load, machine } from "./machine.ts";

const MEASURES = {
  publish: measurePublish,
  raw: measureRaw,
  relay: measureRelay,
  consumers: measureConsumers,
  way: measureWay,
  channels: measureChannels,
};
type Name = keyof typeof MEASURES;
const NAMES = Object.keys(MEASURES) as Name[];
/** What is measured on which broker. */
const PLAN: Readonly<Record<Profile, readonly Name[]>> = {
  default: NAMES,
  always: NAMES,
  cluster: ["raw", "relay", "way"],
};
const PROFILES = Object.keys(PLAN) as Profile[];

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    events: { type: "string", default: "10000" },
    only: { type: "string", multiple: true, default: [] },
    broker: { type: "string", multiple: true, default: [] },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(`Measures events: publish, relay, consumers and the whole way, beside raw JetStream, raw PostgreSQL and Moleculer
Channels, on servers of its own, with a broker that writes to its disk now and then, one that does so each time, and one
as in production: three such nodes.

  --rounds N      rounds, of which the medians count (3)
  --events N      of each measurement (10000)
  --only NAME     this measurement; may be repeated: ${NAMES.join(" ")}
  --broker NAME   this broker; may be repeated: ${PROFILES.join(" ")}

The report goes to bench/results/events.md if nothing of that is given.`);
  process.exit(0);
}
const [rounds, events] = [values.rounds, values.events].map(Number) as [number, number];
if (!(rounds >= 1 && events >= 1)) throw new Error("--rounds and --events must be numbers above 0");
const chosen = (all: readonly string[], some: readonly string[]) => {
  const unknown = some.filter((name) => !all.includes(name));
  if (unknown.length > 0) throw new Error(`there is no ${unknown.join(", ")}; there are ${all.join(", ")}`);
  return (name: string) => some.length === 0 || some.includes(name);
};
const isMeasured = chosen(NAMES, values.only);
const isBroker = chosen(PROFILES, values.broker);

/** What the peer is asked; its file is of another package, which is installed when it is needed. */
interface Channels {
  carry(
    count: number,
    inFlight: number,
    text: string,
  ): Promise<{ readonly publishedMs: number; readonly handledMs: number }>;
  close(): Promise<void>;
}

async function measureChannels({ natsUrl }: Place, count: number): Promise<Measured> {
  const { openChannels } = await import(new URL("./peers/moleculer-channels.ts", import.meta.url).href);
  const channels = (await openChannels(natsUrl)) as Channels;
  try {
    const { publishedMs, handledMs } = await channels.carry(count, 256, TEXT);
    return {
      "Moleculer Channels: publish, 256 in flight": (count * 1_000) / publishedMs,
      "Moleculer Channels: publish and handle, 16 at a time": (count * 1_000) / handledMs,
    };
  } finally {
    await channels.close();
  }
}

const natsServer = await findNatsServer({
  toolsDir: join(import.meta.dirname, "..", ".tools"),
  log: console.log,
});
const natsVersion = /v([\d.]+)/.exec((await outputOf(natsServer, ["--version"])) ?? "")?.[1] ?? "";
const circumstances = { machine: machine(), natsVersion, load: load(), date: new Date(), rounds, events };
console.log(`${circumstances.machine}, nats-server ${natsVersion}; load ${circumstances.load}\n`);

const results = new Map<string, Map<Profile, number[]>>();
await using places = await openPlaces(natsServer);
// Three nodes that have nothing to do still do something, so they come last.
for (const profiles of [["default", "always"], ["cluster"]] as const) {
  for (let round = 1; round <= rounds; round++) {
    for (const profile of profiles.filter(isBroker)) {
      for (const name of PLAN[profile].filter(isMeasured)) await measure(name, profile, round);
    }
  }
}

const page = report(results, circumstances);
console.log(`\n${page}`);
const isWhole =
  values.rounds === "3" && values.events === "10000" && [...values.only, ...values.broker].length === 0;
if (isWhole) {
  mkdirSync(join(import.meta.dirname, "results"), { recursive: true });
  writeFileSync(join(import.meta.dirname, "results", "events.md"), page);
  console.log("written to bench/results/events.md");
}

async function measure(name: Name, profile: Profile, round: number): Promise<void> {
  await using place = await places.open(profile);
  // One that fails is missing from the table; the others are measured all the same.
  const measured = await MEASURES[name](place, events).catch((error) => {
    console.log(`${name} failed: ${error}`);
    return {};
  });
  for (const [figure, value] of Object.entries(measured)) {
    console.log(`${round}/${rounds}  ${profile}  ${figure}: ${format(value)}`);
    const byProfile = results.get(figure) ?? new Map<Profile, number[]>();
    results.set(figure, byProfile.set(profile, [...(byProfile.get(profile) ?? []), value]));
  }
}
