import { lognormal } from "../../mesh/testing/simulator/distributions.ts";
import type { Fault } from "../../mesh/testing/simulator/faults.ts";
import { between, tally } from "../../mesh/testing/simulator/results.ts";
import { type ClientModel, type Results, simulate } from "../../mesh/testing/simulator/simulate.ts";
import type { SimulatedTarget } from "../../mesh/testing/simulator/simulated-target.ts";
import { NO_BREAKER, type Variant } from "../../mesh/testing/simulator/variants.ts";
import { atLeast, atMost, type Scenario, within } from "./scenario.ts";

const WARM_MS = 10_000;
const FOR_MS = 60_000;
const ONCE: Variant = { retry: { maxAttempts: 1 } };

/** Three servers of eight workers, 10 ms a call; `faults` are those of the first. */
function three(
  clients: ClientModel,
  faults: readonly Fault[] = [],
  variant: Variant = ONCE,
  { seed = 3, forMs = FOR_MS } = {},
): Promise<Results> {
  const server = { workers: 8, workMs: lognormal(10, 0.5), admits: "wanted" as const };
  return simulate({
    seed,
    forMs,
    servers: [{ ...server, faults }, server, server],
    clients: [clients],
    variant,
  });
}

const SLOW: readonly Fault[] = [{ slowdown: 10 }];
const BROKEN: readonly Fault[] = [{ failShare: 1, failsInMs: 1 }];
const TEN: ClientModel = { count: 10, rps: 60 };

// A tail hangs on few calls, so that those of several runs are taken together.
const SEEDS = [1, 2, 3, 4];

/** The tail with one slow server, as a multiple of the tail without. */
async function slowed(clients: ClientModel, variant: Variant = ONCE) {
  const runs = (faults: readonly Fault[], variant: Variant) =>
    Promise.all(SEEDS.map((seed) => three(clients, faults, variant, { seed, forMs: 30_000 })));
  const [slow, healthy] = await Promise.all([runs(SLOW, variant), runs([], ONCE)]);
  const calls = (all: readonly Results[]) =>
    tally(all.flatMap(({ calls }) => between(calls, WARM_MS, FOR_MS)));
  const [slowCalls, healthyCalls] = [calls(slow), calls(healthy)];
  return {
    "p99 / healthy p99": slowCalls.percentile(0.99) / healthyCalls.percentile(0.99),
    "p99.9 / healthy p99.9": slowCalls.percentile(0.999) / healthyCalls.percentile(0.999),
    "share of the slow one": mean(slow.map((each) => each.shares(WARM_MS)[0] ?? 0)),
    "attempts per call": mean(slow.map((each) => each.amplification())),
  };
}

const mean = (values: readonly number[]) => values.reduce((sum, each) => sum + each, 0) / values.length;

const HEDGED: Variant = {
  method: { hedge: { maxAttempts: 2, delay: { fixedMs: 30 }, maxExtraLoad: 0.05 } },
  retry: { maxAttempts: 1 },
};

/** Failures that callers see, as a share of the calls. */
async function broken(variant: Variant) {
  const results = await three(TEN, BROKEN, variant);
  const failed = (fromMs: number) => 1 - tally(between(results.calls, fromMs, FOR_MS)).okShare;
  return {
    "failed calls": failed(0),
    "failed calls after 10 s": failed(10_000),
    "attempts per call": results.amplification(),
    "share of the broken one": results.shares()[0] ?? 0,
  };
}

/** What becomes of calls after so many servers, all there are, have failed for five seconds. */
async function allBroken(count: number) {
  const faults = [{ toMs: 5_000, failShare: 1 }];
  const server = { workers: 8, workMs: lognormal(10, 0.5), admits: "wanted" as const, faults };
  const results = await simulate({
    seed: 3,
    forMs: 7_000,
    servers: Array(count).fill(server),
    clients: [TEN],
    variant: ONCE,
  });
  return {
    "answered in the second after": tally(between(results.calls, 5_050, 6_050)).okShare,
    "least share of a server": Math.min(...results.shares(5_050, 6_050)),
  };
}

/** Takes the penalty of a failure away. */
function unpunished({ endpoints }: SimulatedTarget): void {
  for (const { load } of endpoints.all())
    Object.assign(load, { punish: (forMs = 0) => load.observe(Math.min(forMs, 1)) });
}

export const balancingScenarios: readonly Scenario[] = [
  {
    id: "L1",
    what: "one of three servers is 10 times slower; P2C peak-EWMA, 10 clients, 600 calls/s",
    expects: { "p99 / healthy p99": atMost(1.5), "share of the slow one": atMost(0.015) },
    run: () => slowed(TEN),
  },
  {
    id: "L1",
    what: "the same at 1,200 calls/s",
    expects: { "p99 / healthy p99": atMost(1.5), "share of the slow one": atMost(0.015) },
    run: () => slowed({ count: 10, rps: 120 }),
  },
  {
    id: "L1",
    what: "the same with one client of 600 calls/s, to which calls under way at a fast server look like a queue",
    expects: { "p99 / healthy p99": atMost(1.9), "share of the slow one": atMost(0.015) },
    run: () => slowed({ count: 1, rps: 600 }),
  },
  {
    id: "L2",
    what: "control: the same with least request, which sees calls under way only",
    expects: { "p99 / healthy p99": within(5, 12) },
    run: () => slowed(TEN, { ...ONCE, service: { balancer: "least_request" } }),
  },
  {
    id: "L3",
    what: "one of three servers is 10 times slower; hedged after 30 ms, 5 % budget",
    expects: {
      "p99 / healthy p99": atMost(1.25),
      "p99.9 / healthy p99.9": atMost(1.2),
      "attempts per call": atMost(1.03),
    },
    run: () => slowed(TEN, HEDGED),
  },
  {
    id: "L4",
    what: "one of three servers fails within 1 ms; no retry",
    expects: { "failed calls": atMost(0.005), "failed calls after 10 s": atMost(0.001) },
    run: () => broken(ONCE),
  },
  {
    id: "L4",
    what: "one of three servers fails within 1 ms; one retry, of a budget that is empty at first",
    expects: {
      "failed calls": atMost(0.0001),
      "failed calls after 10 s": atMost(0),
      "attempts per call": atMost(1.005),
    },
    run: () => broken({ retry: { maxAttempts: 2 } }),
  },
  {
    id: "L5",
    what: "control: it fails within 1 ms; neither a penalty for failures nor a breaker",
    expects: { "share of the broken one": atLeast(0.6) },
    async run() {
      const variant = { ...ONCE, service: { breaker: NO_BREAKER } };
      const results = await three({ ...TEN, spoil: unpunished }, BROKEN, variant, { forMs: 20_000 });
      return { "share of the broken one": results.shares()[0] ?? 0 };
    },
  },
  {
    id: "L7",
    what: "three like servers, 12,000 calls",
    expects: { "most / least share": atMost(1.15) },
    async run() {
      const shares = (await three(TEN, [], ONCE, { forMs: 20_000 })).shares();
      return { "most / least share": Math.max(...shares) / Math.min(...shares) };
    },
  },
  {
    id: "L8",
    what: "all three fail for 5 s, so that every breaker opens; then calls flow again at once",
    expects: { "answered in the second after": atLeast(0.99), "least share of a server": atLeast(0.2) },
    run: () => allBroken(3),
  },
  {
    id: "L8",
    what: "control: the same with two servers, which are too few to say that a breaker must be wrong",
    expects: { "answered in the second after": atMost(0.5) },
    run: () => allBroken(2),
  },
];
