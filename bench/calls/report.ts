import { table } from "../table.ts";
import type { Costs } from "./in-process.ts";
import type { PairMeasured } from "./pair.ts";
import { median, spread } from "./statistics.ts";
import { BASE, BOTH_SIDES, CASES, SUBJECTS } from "./subjects.ts";

/** What was measured: by subject and case, one entry for each round. */
export interface Results {
  readonly calls: ReadonlyMap<string, ReadonlyMap<string, readonly PairMeasured[]>>;
  readonly costs: readonly Costs[];
  /** How many calls a second our client has for each of the base's, in one process: by process, then by case. */
  readonly ratios: readonly (readonly number[])[];
}

/** What the measurement was made with. */
export interface Circumstances {
  readonly machine: string;
  readonly versions: string;
  readonly load: string;
  readonly date: Date;
  readonly rounds: number;
  readonly seconds: number;
}

/** The results as a page of Markdown. */
export function report(results: Results, circumstances: Circumstances): string {
  const { machine, versions, load, date, rounds, seconds } = circumstances;
  return [
    "# Calls, beside peers",
    `Written by \`make bench\` on ${date.toISOString().slice(0, 10)}. What counts is the ratio to bare grpc-js in the same run; ` +
      "the numbers are those of one machine.",
    `- ${machine}; load before the run ${load}\n- ${versions}`,
    `Client and server are processes of their own, both on 127.0.0.1. Each call is unary, answers with the text that it ` +
      `is given, and has a deadline of 5 s. All take their turns in each of ${rounds} rounds, in new processes, which ` +
      `are warmed up first; a case lasts ${seconds} s. Each number is the median of the rounds, each ratio that of the ` +
      "ratios of the rounds. Spread is the distance between the best and the worst round. CPU is that of the whole " +
      "process, in microseconds per call, system time and garbage collection included; that of nats-server is in none.",
    weftOnBothSides(results),
    ...CASES.map(({ name }) => [`## ${name}`, callsTable(results, name)].join("\n\n")),
    "## What our layers cost",
    costsTable(results),
    "## Bars",
    "They are for us to look at; no test fails by them. For the last of them both clients are in one process and take short " +
      "turns, because of two processes with the same code one may be slower than the other for its whole life.",
    barsTable(results),
    "",
  ]
    .filter((part) => part !== undefined)
    .join("\n\n")
    .replace(/\n+$/, "\n");
}

function callsTable({ calls }: Results, caseName: string): string {
  const base = calls.get(BASE)?.get(caseName) ?? [];
  const rows = SUBJECTS.flatMap(({ name, title }) => {
    const rounds = calls.get(name)?.get(caseName);
    if (!rounds?.length) return [];
    const of = (pick: (round: PairMeasured) => number) => median(rounds.map(pick));
    const failed = rounds.reduce((sum, round) => sum + round.failed, 0);
    return [
      [
        title,
        whole(of((round) => round.perSecond)),
        ratioTo(base, rounds).toFixed(2),
        `${Math.round(spread(rounds.map((round) => round.perSecond)) * 100)} %`,
        of((round) => round.p50Ms).toFixed(2),
        of((round) => round.p99Ms).toFixed(2),
        of((round) => round.clientUs).toFixed(0),
        of((round) => round.serverUs).toFixed(0),
        failed === 0 ? "" : `${failed} failed: ${rounds.find(({ error }) => error)?.error}`,
      ],
    ];
  });
  const head = ["", "calls/s", "ratio", "spread", "p50 ms", "p99 ms", "client CPU us", "server CPU us", ""];
  return table(head, rows);
}

/** What has our name has us on both sides, and how that fares. */
function weftOnBothSides({ calls }: Results): string {
  const ratios = CASES.flatMap(({ name }) => {
    const rounds = calls.get(BOTH_SIDES)?.get(name);
    return rounds?.length ? [ratioTo(calls.get(BASE)?.get(name) ?? [], rounds).toFixed(2)] : [];
  });
  const fares = ratios.length > 0 ? `, and has ${ratios.join(", ")} of the calls of bare grpc-js` : "";
  return (
    `A row of **Weft** by itself is Weft on both sides${fares}: most of that is the data plane (see the rows of ` +
    "one side alone). Its server's limit of calls at a time is held at its most, 200, where " +
    "a handler that does nothing would have it found lower: refusals are not what is measured here."
  );
}

/** Each round against the base of the same round. */
function ratioTo(base: readonly PairMeasured[], rounds: readonly PairMeasured[]): number {
  return median(rounds.map((round, i) => round.perSecond / (base[i]?.perSecond ?? Number.NaN)));
}

function costsTable({ costs }: Results): string {
  const of = (name: keyof Costs) => median(costs.map((round) => round[name]));
  const us = (value: number) => value.toFixed(1);
  const rows = [
    ["client over a transport that answers at once", us(of("clientBareUs"))],
    ["the same below the client stack", us(of("clientStackUs"))],
    ["handler of connect-node, Connect protocol", us(of("serverBareUs"))],
    ["the same with the server stack", us(of("serverStackUs"))],
    ["what the metrics of a service add to the client stack", us(of("clientTelemetryUs"))],
    ["what the metrics of a service add to the server stack", us(of("serverTelemetryUs"))],
    ["a call that the server sheds, from its headers to its answer", us(of("shedUs"))],
    ["a call refused with BULKHEAD_FULL, from the client's call to its catch", us(of("callBulkheadFullUs"))],
    ["a call refused with BREAKER_OPEN, from the client's call to its catch", us(of("callBreakerOpenUs"))],
  ];
  return [
    "In one process, without a wire: CPU per call, 64 calls at once. Of each process the lower quartile of its turns counts, " +
      "because what else the machine does only ever adds, and of several processes the median. On the wire it is more: the " +
      "rows above have our client with its stack and without, and connect-node's server beside ours. A whole call that is " +
      "refused costs more than the layer that refuses it, which is what the bars are about: there is a client around it. " +
      "Metrics that are switched off are not there; the rows without them are of that.",
    table(["", "us"], costs.length > 0 ? rows : []),
  ].join("\n\n");
}

interface Bar {
  readonly what: string;
  readonly measured: number;
  readonly unit: string;
  readonly atMost?: number;
  readonly atLeast?: number;
}

function barsTable(results: Results): string {
  const rows = bars(results)
    .filter(({ measured }) => !Number.isNaN(measured))
    .map(({ what, measured, unit, atMost, atLeast }) => {
      const passes = measured <= (atMost ?? Infinity) && measured >= (atLeast ?? -Infinity);
      const digits = unit === "ns" ? 0 : unit === "us" ? 1 : 2;
      const bar = atMost === undefined ? `>= ${atLeast}` : `<= ${atMost}`;
      return [what, `${measured.toFixed(digits)} ${unit}`, `${bar} ${unit}`, passes ? "pass" : "**fail**"];
    });
  return table(["", "measured", "bar", ""], rows);
}

function bars({ costs, ratios }: Results): Bar[] {
  const cost = (name: keyof Costs) => median(costs.map((round) => round[name]));
  return [
    {
      what: "client stack, in process",
      measured: cost("clientAddedUs"),
      unit: "us",
      atMost: 10,
    },
    {
      what: "server stack, in process",
      measured: cost("serverAddedUs"),
      unit: "us",
      atMost: 8,
    },
    { what: "breaker, acquire and record", measured: cost("breakerNs"), unit: "ns", atMost: 300 },
    {
      what: "refusal by the bulkhead (BULKHEAD_FULL)",
      measured: cost("bulkheadFullUs"),
      unit: "us",
      atMost: 5,
    },
    { what: "refusal by the breaker (BREAKER_OPEN)", measured: cost("breakerOpenUs"), unit: "us", atMost: 5 },
    { what: "metrics, client", measured: cost("clientTelemetryUs"), unit: "us", atMost: 3 },
    { what: "metrics, server", measured: cost("serverTelemetryUs"), unit: "us", atMost: 3 },
    { what: "shedding a call, without its wire", measured: cost("shedUs"), unit: "us", atMost: 50 },
    ...CASES.map(({ name }, at) => ({
      what: `a protected call beside bare grpc-js, to the same server, ${name}`,
      measured: median(ratios.map((byCase) => byCase[at] ?? Number.NaN)),
      unit: "x",
      atLeast: 0.75,
    })),
  ];
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en");
}
