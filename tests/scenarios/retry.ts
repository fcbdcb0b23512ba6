import { exponential } from "../../mesh/testing/simulator/distributions.ts";
import { tally } from "../../mesh/testing/simulator/results.ts";
import { type Results, simulate } from "../../mesh/testing/simulator/simulate.ts";
import { NO_BREAKER, type Variant } from "../../mesh/testing/simulator/variants.ts";
import { atLeast, atMost, type Scenario, within } from "./scenario.ts";

/** Clients of a server that fails this share of its calls; breakers, which would hide what is measured, are off. */
function failing(
  failShare: number,
  clients: { readonly count: number; readonly rps: number; readonly isEven?: boolean },
  variant: Variant = {},
  forMs = 30_000,
): Promise<Results> {
  return simulate({
    seed: 1,
    forMs,
    servers: [{ workers: 1_000, workMs: exponential(5), admits: "everything", faults: [{ failShare }] }],
    clients: [clients],
    variant: { ...variant, service: { breaker: NO_BREAKER, ...variant.service } },
  });
}

// As in the model that the figures come from.
const FOUR: Variant = { retry: { maxAttempts: 4 } };

const budget = (minPerSecond: number): Variant => ({
  ...FOUR,
  service: { gate: { kind: "budget", ratio: 0.2, minPerSecond, ttlMs: 10_000 } },
});

export const retryScenarios: readonly Scenario[] = [
  {
    id: "R1",
    what: "everything fails; 10 clients of 100 calls/s",
    expects: { "attempts per call": atMost(1.22) },
    run: async () => ({
      "attempts per call": (await failing(1, { count: 10, rps: 100 }, FOUR, 20_000)).amplification(),
    }),
  },
  {
    id: "R1",
    what: "everything fails; 10 clients of 5 calls/s",
    expects: { "attempts per call": atMost(1.25) },
    run: async () => ({
      "attempts per call": (await failing(1, { count: 10, rps: 5 }, FOUR, 60_000)).amplification(),
    }),
  },
  {
    id: "R1",
    what: "control: the same with the popular floor of 10 retries/s for each process",
    expects: { "attempts per call": atLeast(2.8) },
    run: async () => ({
      "attempts per call": (await failing(1, { count: 10, rps: 5 }, budget(10), 60_000)).amplification(),
    }),
  },
  {
    id: "R2",
    what: "a fifth of the attempts fails",
    expects: { success: atLeast(0.94), "attempts per call": atMost(1.21) },
    async run() {
      const results = await failing(0.2, { count: 10, rps: 100 }, FOUR);
      return { success: tally(results.calls).okShare, "attempts per call": results.amplification() };
    },
  },
  {
    id: "R2",
    what: "a twentieth of the attempts fails",
    expects: { success: atLeast(0.999), "attempts per call": within(1.04, 1.06) },
    async run() {
      const results = await failing(0.05, { count: 10, rps: 100 }, FOUR);
      return { success: tally(results.calls).okShare, "attempts per call": results.amplification() };
    },
  },
  {
    id: "R3",
    what: "everything fails 300 times, one after the other, under the throttle of gRFC A6 (10 tokens, 0.1)",
    expects: { "attempts per call": within(1.01, 1.017) },
    run: async () => ({
      "attempts per call": (
        await failing(
          1,
          { count: 1, rps: 1, isEven: true },
          { ...FOUR, service: { gate: { kind: "throttle", maxTokens: 10, tokenRatio: 0.1 } } },
          300_000,
        )
      ).amplification(),
    }),
  },
];
