import { exponential, lognormal } from "../../mesh/testing/simulator/distributions.ts";
import { between, tally } from "../../mesh/testing/simulator/results.ts";
import { type Results, simulate } from "../../mesh/testing/simulator/simulate.ts";
import type { ServerModel } from "../../mesh/testing/simulator/simulated-server.ts";
import { NO_BREAKER, NO_BUDGET, type Variant } from "../../mesh/testing/simulator/variants.ts";
import { atLeast, atMost, type Scenario } from "./scenario.ts";

const WARM_MS = 15_000;
const FOR_MS = 60_000;

/** Three servers of eight workers, 10 ms a call, and one client. */
function three(
  rps: number,
  variant: Variant,
  server: Partial<ServerModel> = {},
  forMs = FOR_MS,
): Promise<Results> {
  const each: ServerModel = { workers: 8, workMs: lognormal(10, 0.5), admits: "wanted", ...server };
  return simulate({
    seed: 5,
    forMs,
    servers: [each, each, each],
    clients: [{ count: 1, rps }],
    variant,
  });
}

const tail = (results: Results, p: number) => tally(between(results.calls, WARM_MS, FOR_MS)).percentile(p);

const ONCE: Variant = { retry: { maxAttempts: 1 } };
/** As a contract that says `hedge: {}`. */
const HEDGED: Variant = {
  ...ONCE,
  method: { hedge: { maxAttempts: 2, delay: { percentile: 0.99 }, maxExtraLoad: 0.05 } },
};
const UNBOUNDED: Variant = {
  ...ONCE,
  method: { hedge: { maxAttempts: 2, delay: { percentile: 0.5 }, maxExtraLoad: 1 } },
  service: { gate: NO_BUDGET },
};

const STALLS: Partial<ServerModel> = { faults: [{ stallShare: 0.01, stallMs: 500 }] };
// 85 % of what three servers of eight workers do at 11.3 ms a call, and 150 %.
const BUSY_RPS = 1_800;
const TOO_MANY_RPS = 3_200;

/** Busy servers, with hedges and without. */
const busy = (variant: Variant) =>
  Promise.all([variant, ONCE].map((each) => three(BUSY_RPS, each, {}, 40_000))) as Promise<
    [Results, Results]
  >;

export const hedgingScenarios: readonly Scenario[] = [
  {
    id: "H1",
    what: "one attempt in a hundred stalls for 500 ms; 300 calls/s, hedged by default",
    expects: { "p99.9 (ms)": atMost(60), "attempts per call": atMost(1.025) },
    async run() {
      const results = await three(300, HEDGED, STALLS);
      return {
        "p99.9 (ms)": tail(results, 0.999),
        "attempts per call": results.amplification(WARM_MS, FOR_MS),
      };
    },
  },
  {
    id: "H1",
    what: "control: the same without hedges",
    expects: { "p99.9 (ms)": atLeast(500) },
    run: async () => ({ "p99.9 (ms)": tail(await three(300, ONCE, STALLS), 0.999) }),
  },
  {
    id: "H2",
    // No caller sees how full a server is: until it sends calls back the budget alone keeps hedges from doing harm.
    what: "servers that are busy for 85 % of their time: hedges do no harm",
    expects: { "p99 / p99 without hedges": atMost(1.2), "attempts per call": atMost(1.015) },
    async run() {
      const [hedged, plain] = await busy(HEDGED);
      return {
        "p99 / p99 without hedges": tail(hedged, 0.99) / tail(plain, 0.99),
        "attempts per call": hedged.amplification(WARM_MS, FOR_MS),
      };
    },
  },
  {
    id: "H2",
    what: "servers that have more than they can answer, and say so: hedges stop",
    expects: { "attempts per call": atMost(1.001) },
    async run() {
      const results = await three(TOO_MANY_RPS, HEDGED, { admits: "mesh" }, 25_000);
      return { "attempts per call": results.amplification(WARM_MS, 25_000) };
    },
  },
  {
    id: "H2",
    what: "control: hedged after the median, without a bound",
    expects: { "p99 / p99 without hedges": atLeast(2) },
    async run() {
      const [hedged, plain] = await busy(UNBOUNDED);
      return { "p99 / p99 without hedges": tail(hedged, 0.99) / tail(plain, 0.99) };
    },
  },
  {
    id: "H3",
    what: "everything fails; hedged by default",
    expects: { "attempts per call": atMost(1.07) },
    async run() {
      const results = await simulate({
        seed: 5,
        forMs: 30_000,
        servers: [
          { workers: 1_000, workMs: exponential(5), admits: "everything", faults: [{ failShare: 1 }] },
        ],
        clients: [{ count: 1, rps: 100 }],
        variant: { ...HEDGED, service: { breaker: NO_BREAKER } },
      });
      return { "attempts per call": results.amplification() };
    },
  },
];
