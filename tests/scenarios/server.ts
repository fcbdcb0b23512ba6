import { lognormal } from "../../mesh/testing/simulator/distributions.ts";
import { between, goodput, tally } from "../../mesh/testing/simulator/results.ts";
import { type ClientModel, type Results, simulate } from "../../mesh/testing/simulator/simulate.ts";
import type { ServerModel } from "../../mesh/testing/simulator/simulated-server.ts";
import { NO_BREAKER, type Variant } from "../../mesh/testing/simulator/variants.ts";
import { atLeast, atMost, type Scenario, within } from "./scenario.ts";

const WARM_MS = 5_000;
const FOR_MS = 20_000;
const WORKERS = 8;
const WORK_MS = lognormal(10, 0.5);
// Answers per second of eight workers at a mean of 10 ms * exp(0.5² / 2).
const CAPACITY = (WORKERS * 1_000) / (10 * Math.exp(0.125));

/** Clients that send what they are told to, and nothing again: what is measured is the server. */
const ONCE: Variant = { retry: { maxAttempts: 1 }, service: { breaker: NO_BREAKER } };

/** Ten clients who call so many times as often as the server can answer. */
const times = (load: number, model: Partial<ClientModel> = {}): ClientModel => ({
  count: 10,
  rps: (load * CAPACITY) / 10,
  ...model,
});

/** A server of eight workers at 10 ms a call, whose callers wait for 250 ms unless the variant says otherwise. */
function serve(
  clients: readonly ClientModel[],
  admits: ServerModel["admits"] = "mesh",
  variant = ONCE,
  seed = 1,
): Promise<Results> {
  return simulate({
    seed,
    forMs: FOR_MS,
    servers: [{ workers: WORKERS, workMs: WORK_MS, admits }],
    clients,
    variant: { method: { timeoutMs: 250 }, ...variant },
  });
}

/** Answers in time, as a part of what the server can do. */
const goodShare = ({ calls }: Results) => goodput(calls, WARM_MS, FOR_MS) / CAPACITY;

async function overloaded(load: number, admits?: ServerModel["admits"], variant?: Variant) {
  const results = await serve([times(load)], admits, variant);
  return {
    "goodput, of the capacity": goodShare(results),
    "p99 (ms)": tally(between(results.calls, WARM_MS, FOR_MS)).percentile(0.99),
  };
}

/** A fifth of the calls is critical. */
async function critical(load: number, others = "SHEDDABLE") {
  const of = (share: number, criticality: string) =>
    times(load * share, { header: { "mesh-criticality": criticality } });
  const { calls } = await serve([of(0.2, "CRITICAL"), of(0.8, others)]);
  const some = between(calls, WARM_MS, FOR_MS);
  return {
    "success of critical calls": tally(some.filter(({ client }) => client < 10)).okShare,
    "success of the others": tally(some.filter(({ client }) => client >= 10)).okShare,
  };
}

/** Callers who wait for little more than an overloaded server needs, so that some leave while it works for them. */
const HASTY: Variant = { ...ONCE, method: { timeoutMs: 80 } };

async function wasted(admits: ServerModel["admits"]) {
  const { servers } = await serve([times(2)], admits, HASTY);
  const [{ wastedMs, workedMs } = { wastedMs: 0, workedMs: 0 }] = servers;
  return { "work for nobody": wastedMs / workedMs };
}

const OVERLOAD = { fromMs: 30_000, toMs: 50_000 };
const RECOVERED_SHARE = 0.9;

/** How long after an overload of three times the capacity the limit is where it was, in seconds. */
async function limitRecovery() {
  const before: number[] = [];
  let lowest = Number.POSITIVE_INFINITY;
  let recoveredMs = Number.POSITIVE_INFINITY;
  await simulate({
    seed: 1,
    forMs: OVERLOAD.toMs + 40_000,
    servers: [{ workers: WORKERS, workMs: WORK_MS, admits: "mesh" }],
    clients: [times(0.8), times(2.2, OVERLOAD)],
    variant: { ...ONCE, method: { timeoutMs: 250 } },
    watch: {
      eachMs: 500,
      look({ clock, servers }) {
        const limit = servers[0]?.state()?.limit ?? 0;
        const nowMs = clock.now();
        if (nowMs <= OVERLOAD.fromMs && nowMs > OVERLOAD.fromMs - 10_000) before.push(limit);
        lowest = Math.min(lowest, nowMs > OVERLOAD.fromMs ? limit : lowest);
        const former = before.reduce((sum, each) => sum + each, 0) / before.length;
        if (nowMs > OVERLOAD.toMs && limit >= RECOVERED_SHARE * former)
          recoveredMs = Math.min(recoveredMs, nowMs);
      },
    },
  });
  const former = before.reduce((sum, each) => sum + each, 0) / before.length;
  return {
    "recovered after (s)": (recoveredMs - OVERLOAD.toMs) / 1_000,
    "lowest limit, of the former": lowest / former,
  };
}

export const serverScenarios: readonly Scenario[] = [
  {
    id: "S1",
    what: "twice as many calls as a server can answer",
    expects: { "goodput, of the capacity": atLeast(0.95), "p99 (ms)": atMost(100) },
    run: () => overloaded(2),
  },
  {
    id: "S1",
    what: "three times as many",
    expects: { "goodput, of the capacity": atLeast(0.95), "p99 (ms)": atMost(100) },
    run: () => overloaded(3),
  },
  {
    id: "S1",
    what: "three times as many, by clients of the mesh, who come again when asked to",
    expects: { "goodput, of the capacity": atLeast(0.95) },
    run: () => overloaded(3, "mesh", {}),
  },
  {
    id: "S2",
    what: "control: twice as many, in one queue without an end, first come first served",
    expects: { "goodput, of the capacity": atMost(0.01) },
    run: () => overloaded(2, "everything"),
  },
  {
    id: "S2",
    what: "control: the same, but who has gone is dropped from the queue",
    expects: { "goodput, of the capacity": atMost(0.12) },
    run: () => overloaded(2, "wanted"),
  },
  {
    id: "S3",
    what: "twice as many, a fifth of them critical and the others SHEDDABLE",
    expects: { "success of critical calls": atLeast(0.98) },
    run: () => critical(2),
  },
  {
    id: "S3",
    what: "three times as many, a fifth of them critical and the others SHEDDABLE",
    expects: { "success of critical calls": atLeast(0.93) },
    run: () => critical(3),
  },
  {
    id: "S3",
    what: "control: three times as many, all of them critical",
    expects: { "success of critical calls": within(0.28, 0.38) },
    run: () => critical(3, "CRITICAL"),
  },
  {
    id: "S4",
    what: "four fifths of what a server can answer: nothing is shed",
    expects: { "calls shed": atMost(0.001) },
    async run() {
      const runs = await Promise.all([1, 2, 3, 4, 5].map((seed) => serve([times(0.8)], "mesh", ONCE, seed)));
      return { "calls shed": 1 - tally(runs.flatMap(({ calls }) => calls)).okShare };
    },
  },
  {
    id: "S6",
    what: "three times as many for 20 s, then four fifths again: the limit is back at 90 % of what it was",
    expects: { "recovered after (s)": atMost(30), "lowest limit, of the former": atMost(0.7) },
    run: limitRecovery,
  },
  {
    id: "D7",
    what: "twice as many calls as a server can answer, by callers who wait for 80 ms: work for those who have gone",
    expects: { "work for nobody": atMost(0.05) },
    run: () => wasted("mesh"),
  },
  {
    id: "D7",
    what: "control: the same, in one queue without an end",
    expects: { "work for nobody": atLeast(0.9) },
    run: () => wasted("everything"),
  },
];
