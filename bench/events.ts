import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { outputOf } from "../tools/local/executables.ts";
import { findNatsServer } from "../tools/local/nats-server.ts";
import { median, spread } from "./calls/statistics.ts";
import {
  type Measured,
  measureConsumers,
  measurePublish,
  measureRaw,
  measureRelay,
  measureWay,
  TEXT,
} from "./events/measures.ts";
import { openPlaces, type Place, type Sync } from "./events/place.ts";
import { load, machine } from "./machine.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    events: { type: "string", default: "10000" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(`Measures events: publish, relay, consumers and the whole way, beside raw JetStream, raw PostgreSQL and Moleculer
Channels, on servers of its own, with a broker that writes to its disk now and then, and one that does so each time.

  --rounds N   rounds, of which the medians count (3)
  --events N   of each measurement (10000)

The report goes to bench/results/events.md if rounds and events are as many as usual.`);
  process.exit(0);
}
const [rounds, events] = [values.rounds, values.events].map(Number) as [number, number];
if (!(rounds >= 1 && events >= 1)) throw new Error("--rounds and --events must be numbers above 0");

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

const MEASURES = [measurePublish, measureRaw, measureRelay, measureConsumers, measureWay, measureChannels];
const SYNCS: readonly Sync[] = ["default", "always"];

const natsServer = await findNatsServer({
  toolsDir: join(import.meta.dirname, "..", ".tools"),
  log: console.log,
});
const version = /v([\d.]+)/.exec((await outputOf(natsServer, ["--version"])) ?? "")?.[1] ?? "";
const about = `${machine()}, nats-server ${version}; load ${load()}`;
console.log(`${about}\n`);

const results = new Map<string, Map<Sync, number[]>>();
await using places = await openPlaces(natsServer);
for (let round = 1; round <= rounds; round++) {
  for (const sync of SYNCS) {
    for (const measure of MEASURES) {
      await using place = await places.open(sync);
      // One that fails is missing from the table; the others are measured all the same.
      const measured = await measure(place, events).catch((error) => {
        console.log(`${measure.name} failed: ${error}`);
        return {};
      });
      for (const [name, value] of Object.entries(measured)) {
        console.log(`${round}/${rounds}  sync ${sync}  ${name}: ${format(value)}`);
        const bySync = results.get(name) ?? new Map<Sync, number[]>();
        results.set(name, bySync.set(sync, [...(bySync.get(sync) ?? []), value]));
      }
    }
  }
}

const RAW: Readonly<Record<string, string>> = {
  "Weft: publish in a transaction": "PostgreSQL: bare inserts",
  "Weft: relay drains the outbox": "JetStream: publish, 256 in flight",
  "Moleculer Channels: publish, 256 in flight": "JetStream: publish, 256 in flight",
};
const table = [
  "| what, a second unless it says ms | sync default | spread | sync always | spread | of the raw |",
  "| --- | ---: | ---: | ---: | ---: | ---: |",
  ...[...results].map(([name, bySync]) => {
    const cells = SYNCS.flatMap((sync) => {
      const all = bySync.get(sync) ?? [];
      return [format(median(all)), `${Math.round(spread(all) * 100)} %`];
    });
    const raw = results.get(RAW[name] ?? "")?.get("default") ?? [];
    const ratio = median(bySync.get("default") ?? []) / median(raw);
    return `| ${[name, ...cells, Number.isNaN(ratio) ? "" : `${Math.round(ratio * 100)} %`].join(" | ")} |`;
  }),
].join("\n");
console.log(`\n${table}`);
if (values.rounds === "3" && values.events === "10000") {
  mkdirSync(join(import.meta.dirname, "results"), { recursive: true });
  const text = `# Events

\`make bench-events\` on ${new Date().toISOString().slice(0, 10)}: ${about}.

Medians of ${rounds} rounds of ${events} events of ${TEXT.length} bytes. Servers, publishers and consumers share this machine; PostgreSQL
writes to its disk before it commits (fsync on). "Sync default" is a broker as it comes, which writes to its disk now
and then; "sync always" one with \`sync_interval: always\`. What says so has 16 side by side, each with a transaction of
its own, and handlers that do nothing else. "Of the raw" compares with bare inserts, or with bare JetStream by the same
client, in the same run. Moleculer Channels has no outbox and no inbox: its figures are those of a client of JetStream.

${table}
`;
  writeFileSync(join(import.meta.dirname, "results", "events.md"), text);
  console.log("\nkept in bench/results/events.md");
}

function format(value: number): string {
  return value >= 100 ? String(Math.round(value)) : value.toFixed(1);
}
