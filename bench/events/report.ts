import { median, spread } from "../calls/statistics.ts";
import { table } from "../table.ts";
import { FIGURES, TEXT } from "./measures.ts";
import type { Profile } from "./place.ts";

/** What was measured: by figure and broker, one value for each round. */
export type Results = ReadonlyMap<string, ReadonlyMap<Profile, readonly number[]>>;

/** What the measurement was made with. */
export interface Circumstances {
  readonly machine: string;
  readonly natsVersion: string;
  readonly load: string;
  readonly date: Date;
  readonly rounds: number;
  readonly events: number;
}

const RAW: Readonly<Record<string, string>> = {
  [FIGURES.publish]: FIGURES.inserts,
  [FIGURES.strictAlone]: FIGURES.transactionsAlone,
  [FIGURES.relay]: FIGURES.rawPublish,
  "Moleculer Channels: publish, 256 in flight": FIGURES.rawPublish,
};

const PRODUCTION = [FIGURES.relay, FIGURES.way, FIGURES.steadyP50, FIGURES.steadyP99, FIGURES.rawPublish];

/** The results as a page of Markdown. */
export function report(results: Results, circumstances: Circumstances): string {
  const { machine, natsVersion, load, date, rounds, events } = circumstances;
  const parts = [
    "# Events",
    `Written by \`make bench-events\` on ${date.toISOString().slice(0, 10)}. The numbers are those of one machine.`,
    `- ${machine}; load before the run ${load}\n- nats-server ${natsVersion}`,
    `Medians of ${rounds} rounds of ${events} events of ${TEXT.length} bytes. Servers, publishers, relay and consumers share this ` +
      "machine, and one process has all that is ours; PostgreSQL writes to its disk before it commits (fsync on). Sync default is a " +
      "broker as it comes, which writes to its disk now and then; sync always one with `sync_interval: always`. So many " +
      "at a time have a transaction each, one after the other at 1; a batch has one transaction; handlers do nothing else. Of the raw compares " +
      "with bare inserts or transactions, or with bare JetStream by the same client, of the same round. Moleculer Channels has no outbox and " +
      "no inbox: its figures are those of a client of JetStream.",
    mainTable(results),
    "## In production",
    "Three nodes, each of which keeps every stream and writes to its disk before it says so (`replicas: 3`, " +
      "`sync_interval: always`), beside one node. All three are on this machine, so that they share its disk and " +
      "its cores, and no network is between them.",
    productionTable(results),
    "## Bars",
    "They are for us to look at; no test fails by them.",
    barsTable(results),
    "",
  ];
  return parts.join("\n\n").replace(/\n+$/, "\n");
}

function mainTable(results: Results): string {
  const profiles: readonly Profile[] = ["default", "always"];
  const rows = [...results].flatMap(([name, byProfile]) => {
    if (!byProfile.has("default")) return [];
    const cells = profiles.flatMap((profile) => {
      const values = byProfile.get(profile) ?? [];
      return [format(median(values)), `${Math.round(spread(values) * 100)} %`];
    });
    const raw = RAW[name];
    return [[name, ...cells, raw === undefined ? "" : ratio(results, name, raw).toFixed(2)]];
  });
  const head = [
    "what, a second unless it says ms",
    "sync default",
    "spread",
    "sync always",
    "spread",
    "of the raw",
  ];
  return table(head, rows);
}

function productionTable(results: Results): string {
  const profiles: readonly Profile[] = ["default", "always", "cluster"];
  const rows = PRODUCTION.map((name) => {
    const [one = Number.NaN, always = Number.NaN, three = Number.NaN] = profiles.map((profile) =>
      median(results.get(name)?.get(profile) ?? []),
    );
    return [name, format(one), format(always), format(three), `x ${(three / one).toFixed(2)}`];
  });
  return table(["", "one node", "one node, sync always", "three nodes, sync always", "three to one"], rows);
}

interface Bar {
  readonly what: string;
  readonly measured: number;
  readonly atLeast: number;
}

function barsTable(results: Results): string {
  const value = (name: string) => median(results.get(name)?.get("default") ?? []);
  const bars: readonly Bar[] = [
    { what: `${FIGURES.relay}, a second`, measured: value(FIGURES.relay), atLeast: 8_000 },
    {
      what: `${FIGURES.relay}, of the raw publish`,
      measured: ratio(results, FIGURES.relay, FIGURES.rawPublish),
      atLeast: 0.4,
    },
    {
      what: `${FIGURES.strict}, a transaction for each event, a second`,
      measured: value(FIGURES.strict),
      atLeast: 2_000,
    },
    { what: `${FIGURES.strictTogether}, a second`, measured: value(FIGURES.strictTogether), atLeast: 5_000 },
    { what: `${FIGURES.way}, a second`, measured: value(FIGURES.way), atLeast: 800 },
  ];
  const rows = bars
    .filter(({ measured }) => !Number.isNaN(measured))
    .map(({ what, measured, atLeast }) => {
      const digits = atLeast < 10 ? 2 : 0;
      return [what, measured.toFixed(digits), `>= ${atLeast}`, measured >= atLeast ? "pass" : "**fail**"];
    });
  return table(["sync default", "measured", "bar", ""], rows);
}

/** Each round against the raw of the same round. */
function ratio(results: Results, name: string, raw: string): number {
  const base = results.get(raw)?.get("default") ?? [];
  const rounds = results.get(name)?.get("default") ?? [];
  return median(rounds.map((value, round) => value / (base[round] ?? Number.NaN)));
}

/** A figure, as many digits of it as are worth something. */
export function format(value: number): string {
  return value >= 100 ? String(Math.round(value)) : value.toFixed(1);
}
