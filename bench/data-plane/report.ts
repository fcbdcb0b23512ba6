import { spread } from "../calls/statistics.ts";
import { table } from "../table.ts";
import { ATTACKS } from "./attacks.ts";
import { bars, holds } from "./bars.ts";
import { CASES, type Case, IDLE, IDLE_STREAMS, NEIGHBOUR } from "./cases.ts";
import { TIMEOUT_MS } from "./contract.ts";
import { medianOf, type Results, ratioOf, roundsOf } from "./results.ts";
import { BASE, SUBJECTS } from "./subjects.ts";

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
    "# The data plane, beside peers",
    `Written by \`make bench-data-plane\` on ${date.toISOString().slice(0, 10)}. What counts is the ratio to bare grpc-js in the ` +
      "same run; the numbers are those of one machine.",
    `- ${machine}; load before the run ${load}\n- ${versions}`,
    "Client and server are processes of their own, both on 127.0.0.1, with one connection where the protocol can do with one. All " +
      "answer with the item that they are given (a text, a number of 64 bits, a list of texts), write it with protobuf-es where " +
      `they let one choose (**Weft** as it always does: ADR 0036), and give each unary call a deadline of ${TIMEOUT_MS / 1_000} s; the floor has none. What goes to and fro counts once. All take their ` +
      `turns in each of ${rounds} rounds, in new processes, which are warmed up first; a case lasts ${seconds} s. Each number is ` +
      "the median of the rounds, each ratio that of the ratios of the rounds. Spread is the distance between the best and the " +
      "worst round. CPU is that of the whole process, in microseconds, system time and garbage collection included; that of " +
      "nats-server is in none. Who cannot do a case, or failed in it, is not in its table.",
    ...CASES.map((of) => ({ of, rows: rowsOf(results, of) }))
      .filter(({ rows }) => rows.length > 0)
      .map(({ of, rows }) => [`## ${capital(of.title)}`, table(headOf(of), rows)].join("\n\n")),
    ...idleSection(results),
    ...attackSection(results),
    "## Bars",
    "They are for us to look at; no test fails by them.",
    barsTable(results),
    "",
  ].join("\n\n");
}

function headOf({ unit, of }: Case): string[] {
  return ["", unit, "ratio", "spread", "p50 ms", "p99 ms", `client us/${of}`, `server us/${of}`, ""];
}

function rowsOf({ calls }: Results, { name: caseName, perCall = 1 }: Case): string[][] {
  return SUBJECTS.flatMap(({ name, title }) => {
    const rounds = roundsOf(calls, { subject: name, case: caseName });
    if (rounds.length === 0) return [];
    const ratio = ratioOf(
      calls,
      { subject: name, case: caseName },
      { subject: BASE, case: caseName },
      ({ perSecond }) => perSecond,
    );
    const failed = rounds.reduce((sum, { measured }) => sum + measured.failed, 0);
    return [
      [
        title,
        whole(medianOf(rounds, ({ perSecond }) => perSecond * perCall)),
        Number.isNaN(ratio) ? "" : ratio.toFixed(2),
        `${Math.round(spread(rounds.map(({ measured }) => measured.perSecond)) * 100)} %`,
        medianOf(rounds, ({ p50Ms }) => p50Ms).toFixed(3),
        medianOf(rounds, ({ p99Ms }) => p99Ms).toFixed(2),
        medianOf(rounds, ({ clientUs }) => clientUs).toFixed(1),
        medianOf(rounds, ({ serverUs }) => serverUs).toFixed(1),
        failed === 0
          ? ""
          : `${failed} failed: ${rounds.find(({ measured }) => measured.error)?.measured.error}`,
      ],
    ];
  });
}

function idleSection({ idle }: Results): string[] {
  const rows = SUBJECTS.flatMap(({ name, title }) => {
    const rounds = roundsOf(idle, { subject: name, case: IDLE });
    if (rounds.length === 0) return [];
    return [
      [
        title,
        whole(medianOf(rounds, ({ streams }) => streams)),
        whole(medianOf(rounds, ({ client }) => client.resident)),
        whole(medianOf(rounds, ({ client }) => client.heap)),
        whole(medianOf(rounds, ({ server }) => server.resident)),
        whole(medianOf(rounds, ({ server }) => server.heap)),
        rounds.find(({ measured }) => measured.error)?.measured.error ?? "",
      ],
    ];
  });
  if (rows.length === 0) return [];
  const head = ["", "streams", "client", "client, heap", "server", "server, heap", ""];
  return [
    `## ${whole(IDLE_STREAMS)} idle streams`,
    "Bytes for each: what a new process grows by when streams are opened both ways on one connection, have carried one message " +
      "to and fro, and stay open; after garbage collection. The first of each two is of the whole process, the second of what " +
      "JavaScript knows of: its heap and its buffers. Who allows fewer has as many as it allows.",
    table(head, rows),
  ];
}

function attackSection({ attacks }: Results): string[] {
  const rows = SUBJECTS.flatMap(({ name, title }) => {
    const alone = roundsOf(attacks, { subject: name, case: "" });
    if (alone.length === 0) return [];
    return [{ name: "", title: "nobody" }, ...ATTACKS].map((attack) => {
      const rounds = roundsOf(attacks, { subject: name, case: attack.name });
      const { error } = rounds.find(({ measured }) => measured.error)?.measured ?? {};
      return [
        title,
        attack.title,
        whole(medianOf(rounds, ({ perSecond }) => perSecond)),
        time(medianOf(rounds, ({ p50Ms }) => p50Ms)),
        time(medianOf(rounds, ({ p99Ms }) => p99Ms)),
        whole(rounds.reduce((sum, { measured }) => sum + measured.failed, 0)),
        whole(medianOf(rounds, ({ turns }) => turns)),
        whole(medianOf(rounds, ({ cutOff }) => cutOff)),
        error ?? "",
      ];
    });
  });
  if (rows.length === 0) return [];
  const head = ["", "attack", "calls/s", "p50 ms", "p99 ms", "failed", "attacker's turns", "cut off", ""];
  return [
    "## A neighbour under attack",
    `The calls of a client that means well (${NEIGHBOUR.title}), while another process attacks the server on one connection after ` +
      "the other, each until it is closed. Who attacks has a share of the processors too, so that what counts is how the " +
      "servers differ. Those that failed are of all rounds.",
    table(head, rows),
  ];
}

function barsTable(results: Results): string {
  const rows = bars(results).map((bar) => {
    const { what, measured, atMost, atLeast } = bar;
    const asked = atMost === undefined ? `>= ${atLeast} x` : `<= ${atMost} x`;
    if (Number.isNaN(measured)) return [what, "", asked, "not measured"];
    return [what, `${measured.toFixed(2)} x`, asked, holds(bar) ? "pass" : "**fail**"];
  });
  return table(["", "measured", "bar", ""], rows);
}

/** Infinity if no call was answered. */
function time(ms: number): string {
  return Number.isFinite(ms) ? ms.toFixed(2) : "never";
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en");
}

function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}
