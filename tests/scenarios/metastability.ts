import { exponential } from "../../mesh/testing/simulator/distributions.ts";
import { goodput, recovery } from "../../mesh/testing/simulator/results.ts";
import { simulate } from "../../mesh/testing/simulator/simulate.ts";
import type { ServerModel } from "../../mesh/testing/simulator/simulated-server.ts";
import { NO_BREAKER, NO_BUDGET, type Variant } from "../../mesh/testing/simulator/variants.ts";
import { atLeast, atMost, never, type Scenario, within } from "./scenario.ts";

const FAULT = { fromMs: 20_000, toMs: 30_000, slowdown: 5 };
const AFTER_MS = 65_000;

/**
 * Ten clients of a server of ten workers at 100 ms a call, which has a fifth of its capacity for ten seconds. What its
 * clients do then decides whether it ever recovers.
 */
async function faulty(seed: number, rps: number, admits: ServerModel["admits"], variant: Variant) {
  const results = await simulate({
    seed,
    forMs: FAULT.toMs + AFTER_MS,
    servers: [{ workers: 10, workMs: exponential(100), admits, faults: [FAULT] }],
    clients: [{ count: 10, rps: rps / 10 }],
    variant: { ...variant, method: { timeoutMs: 2_000, ...variant.method } },
  });
  return {
    "recovered after (s)": recovery(results.calls, FAULT.toMs, FAULT.toMs + AFTER_MS) / 1_000,
    "attempts per call in the fault": results.amplification(FAULT.fromMs, FAULT.toMs),
    "goodput in the fault, of what is left": goodput(results.calls, FAULT.fromMs, FAULT.toMs) / 20,
  };
}

/** The worst of three runs. */
async function worst(rps: number, variant: Variant) {
  const runs = await Promise.all([1, 2, 3].map((seed) => faulty(seed, rps, "mesh", variant)));
  const each = (name: keyof (typeof runs)[number]) => runs.map((run) => run[name]);
  return {
    "recovered after (s)": Math.max(...each("recovered after (s)")),
    "attempts per call in the fault": Math.max(...each("attempts per call in the fault")),
    "goodput in the fault, of what is left": Math.min(...each("goodput in the fault, of what is left")),
  };
}

const NAIVE: Variant = {
  retry: { maxAttempts: 4, attemptTimeoutMs: 500 },
  service: { gate: NO_BUDGET, breaker: NO_BREAKER },
};
const BUDGETED: Variant = {
  retry: { maxAttempts: 4, attemptTimeoutMs: 500 },
  service: { breaker: NO_BREAKER },
};

export const metastabilityScenarios: readonly Scenario[] = [
  {
    id: "M1",
    what: "70 of 100 calls/s; the mesh's defaults",
    expects: { "recovered after (s)": atMost(3) },
    run: () => worst(70, {}),
  },
  {
    id: "M1",
    what: "85 of 100 calls/s; the same",
    expects: { "recovered after (s)": atMost(10) },
    run: () => worst(85, {}),
  },
  {
    id: "M2",
    what: "control: 70 of 100 calls/s, four attempts without a budget, a server that does all it is sent",
    expects: { "recovered after (s)": never },
    run: () => faulty(1, 70, "everything", NAIVE),
  },
  {
    id: "M3",
    what: "control: 70 of 100 calls/s, a budget, and a server that does all it is sent",
    expects: { "recovered after (s)": within(31, 60) },
    run: () => faulty(1, 70, "everything", BUDGETED),
  },
  {
    id: "M3",
    what: "control: the same at 85 calls/s",
    expects: { "recovered after (s)": never },
    run: () => faulty(1, 85, "everything", BUDGETED),
  },
  {
    id: "M4",
    what: "70 of 100 calls/s; the mesh's defaults, while the fault lasts",
    expects: {
      "attempts per call in the fault": atMost(1.25),
      "goodput in the fault, of what is left": atLeast(0.45),
    },
    run: () => worst(70, {}),
  },
];
