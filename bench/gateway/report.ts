import { median, spread } from "../calls/statistics.ts";
import { table } from "../table.ts";

/** What one way of calling had in one round. */
export interface Round {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Microseconds of CPU for each call, of what stands between. 0 if nothing does. */
  readonly cpuUs: number;
  /** How often a caller was told to come back, for each call. */
  readonly shed: number;
}

/** What the measurement was made with. */
export interface Circumstances {
  readonly machine: string;
  readonly versions: string;
  readonly load: string;
  readonly date: Date;
  readonly rounds: number;
  readonly seconds: number;
  readonly inFlight: number;
}

/** The one that the others are compared with, and the one that has a bar. */
export const [PROXY, REST] = ["proxy", "rest"] as const;

const TITLES: Readonly<Record<string, string>> = {
  direct: "product itself, Connect, nothing between",
  [PROXY]: "bare fastify and undici, passing Connect on",
  connect: "**gateway**, Connect",
  "connect-user": "**gateway**, Connect, signed in",
  "rest-open": "**gateway**, REST",
  [REST]: "**gateway**, REST, signed in",
};
const AT_LEAST = 0.5;

/** The results as a page of Markdown. */
export function report(results: ReadonlyMap<string, readonly Round[]>, circumstances: Circumstances): string {
  const { machine, versions, load, date, rounds, seconds, inFlight } = circumstances;
  const proxy = results.get(PROXY) ?? [];
  const ratio = (of: readonly Round[]) =>
    median(of.map(({ perSecond }, i) => perSecond / (proxy[i]?.perSecond ?? Number.NaN)));
  const rows = [...results].map(([name, of]) => [
    TITLES[name] ?? name,
    Math.round(median(of.map(({ perSecond }) => perSecond))).toLocaleString("en"),
    ratio(of).toFixed(2),
    `${Math.round(spread(of.map(({ perSecond }) => perSecond)) * 100)} %`,
    median(of.map(({ p50Ms }) => p50Ms)).toFixed(1),
    median(of.map(({ p99Ms }) => p99Ms)).toFixed(1),
    median(of.map(({ cpuUs }) => cpuUs)).toFixed(0),
    `${(median(of.map(({ shed }) => shed)) * 100).toFixed(1)} %`,
  ]);
  const measured = ratio(results.get(REST) ?? []);
  return [
    "# The gateway, beside a bare proxy",
    `Written by \`make bench-gateway\` on ${date.toISOString().slice(0, 10)}. What counts is the ratio to the proxy in the same run; ` +
      "the numbers are those of one machine.",
    `- ${machine}; load before the run ${load}\n- ${versions}`,
    `A page of one product (ListProducts) by ${inFlight} callers at a time, each over a connection of its own, from one instance of ` +
      "product with its PostgreSQL. Everything is on this machine, so all of it shares the cores. The gateway checks tokens, " +
      "counts calls, validates, transcodes REST, logs and measures; the proxy passes bytes on. All ways take their turns in each of " +
      `${rounds} rounds of ${seconds} s, after a warm-up. Each number is the median of the rounds, each ratio that of the ratios of ` +
      "the rounds. CPU is that of the process between caller and product, in microseconds per call. Shed is how many calls a server had too much to do for; their " +
      "callers came back 50 ms later, and their times are with that.",
    table(["", "calls/s", "ratio", "spread", "p50 ms", "p99 ms", "CPU us", "shed"], rows),
    "## Bar",
    "It is for us to look at; no test fails by it.",
    table(
      ["", "measured", "bar", ""],
      [
        [
          "REST, signed in, limited and transcoded, beside the proxy",
          `${measured.toFixed(2)} x`,
          `>= ${AT_LEAST} x`,
          measured >= AT_LEAST ? "pass" : "**fail**",
        ],
      ],
    ),
    "",
  ].join("\n\n");
}
