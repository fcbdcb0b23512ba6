import { lognormal } from "../../mesh/testing/simulator/distributions.ts";
import { simulate } from "../../mesh/testing/simulator/simulate.ts";
import { atMost, type Scenario } from "./scenario.ts";

const OUTAGE = { fromMs: 1_000, toMs: 31_000, isDead: true };
const CLIENTS = 200;

/** How long after its outage one of three servers gets a call again, from each client. Sorted, in seconds. */
async function readmission(): Promise<number[]> {
  const server = { workers: 1_000, workMs: lognormal(10, 0.5), admits: "wanted" as const };
  const before: number[] = [];
  const backAtMs: (number | undefined)[] = Array(CLIENTS).fill(undefined);
  await simulate({
    seed: 2,
    forMs: OUTAGE.toMs + 20_000,
    servers: [{ ...server, faults: [OUTAGE] }, server, server],
    // So many that a breaker does not have to wait for its next call.
    clients: [{ count: CLIENTS, rps: 20 }],
    watch: {
      eachMs: 100,
      look({ clock, targets }) {
        for (const [i, { endpoints }] of targets.entries()) {
          const picked = endpoints.all()[0]?.picked ?? 0;
          if (clock.now() < OUTAGE.toMs) before[i] = picked;
          else if (picked > (before[i] ?? 0)) backAtMs[i] ??= clock.now();
        }
      },
    },
  });
  return backAtMs
    .map((at = Number.POSITIVE_INFINITY) => (at - OUTAGE.toMs) / 1_000)
    .sort((one, other) => one - other);
}

export const breakerScenarios: readonly Scenario[] = [
  {
    id: "C8",
    what: "one of three servers is away for 30 s: until it gets calls again, from each of 200 clients (15 s, +- 10 %)",
    expects: { "p99 (s)": atMost(16.5) },
    async run() {
      const delays = await readmission();
      return {
        "p50 (s)": delays[Math.floor(CLIENTS / 2)] ?? Number.NaN,
        "p99 (s)": delays[Math.ceil(0.99 * CLIENTS) - 1] ?? Number.NaN,
      };
    },
  },
];
