import type { Costs } from "./in-process.ts";
import type { PairMeasured } from "./pair.ts";
import { median, spread } from "./statistics.ts";
import { BASE, CASES, SUBJECTS } from "./subjects.ts";

/** What was measured: by subject and case, one entry for each round. */
export interface Results {
  readonly calls: ReadonlyMap<string, ReadonlyMap<string, readonly PairMeasured[]>>;
  readonly costs: readonly Costs[];
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
    ...CASES.map(({ name }) => [`## ${name}`, callsTable(results, name)].join("\n\n")),
    "## What our layers cost",
    costsTable(results),
    "## Bars",
    "They are for us to look at; no test fails by them.",
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
    ["a call refused with BULKHEAD_FULL, from the client's call to its catch", us(of("callBulkheadFullUs"))],
    ["a call refused with BREAKER_OPEN, from the client's call to its catch", us(of("callBreakerOpenUs"))],
  ];
  return [
    "In one process, without a wire: CPU per call, 64 calls at once.",
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

function bars({ calls, costs }: Results): Bar[] {
  const cost = (name: keyof Costs) => median(costs.map((round) => round[name]));
  const rounds = (subject: string, caseName: string) => calls.get(subject)?.get(caseName) ?? [];
  const ratio = (subject: string, caseName: string) =>
    ratioTo(rounds(BASE, caseName), rounds(subject, caseName));
  const wire = (subject: string, bare: string, pick: (round: PairMeasured) => number) => {
    const name = "20 B, 64 in flight";
    const below = rounds(bare, name);
    return median(
      rounds(subject, name).map((round, i) => pick(round) - (below[i] ? pick(below[i]) : Number.NaN)),
    );
  };
  return [
    {
      what: "client stack, in process",
      measured: cost("clientAddedUs"),
      unit: "us",
      atMost: 10,
    },
    {
      what: "client stack and transport over bare grpc-js, on the wire, 20 B, 64 in flight",
      measured: wire("weft-client", BASE, (round) => round.clientUs),
      unit: "us",
      atMost: 10,
    },
    {
      what: "server stack, in process",
      measured: cost("serverAddedUs"),
      unit: "us",
      atMost: 8,
    },
    {
      what: "server stack and port over bare connect-node, on the wire, 20 B, 64 in flight",
      measured: wire("weft-server", "connect-server", (round) => round.serverUs),
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
    ...CASES.flatMap(({ name }) => [
      {
        what: `our client to a bare grpc-js server over bare grpc-js, ${name}`,
        measured: ratio("weft-client", name),
        unit: "x",
        atLeast: 0.75,
      },
      {
        what: `our client to our server over bare grpc-js, ${name}`,
        measured: ratio("weft", name),
        unit: "x",
        atLeast: 0.75,
      },
    ]),
  ];
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en");
}

/** A table whose first column is text and whose others are numbers. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const rule = head.map((_, i) => (i === 0 ? "---" : "--:"));
  return [head, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
