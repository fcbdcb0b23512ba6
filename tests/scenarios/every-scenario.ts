import { balancingScenarios } from "./balancing.ts";
import { breakerScenarios } from "./breakers.ts";
import { chainScenarios } from "./chain.ts";
import { hedgingScenarios } from "./hedging.ts";
import { metastabilityScenarios } from "./metastability.ts";
import { retryScenarios } from "./retry.ts";
import type { Scenario } from "./scenario.ts";
import { serverScenarios } from "./server.ts";

// Deadlines, retries, metastability, load balancing, circuit breakers, hedging, servers, fallbacks and caches.
const COUNTS = { D: 7, R: 11, M: 4, L: 8, C: 9, H: 6, S: 6, F: 3 };

/** The situations that calls must survive. Each is a scenario of the simulator, or a test of real parts whose title names it. */
export const IDS: readonly string[] = Object.entries(COUNTS).flatMap(([letter, count]) =>
  Array.from({ length: count }, (_, i) => `${letter}${i + 1}`),
);

/** What runs in the simulator, by id. */
export const SCENARIOS: readonly Scenario[] = [
  ...retryScenarios,
  ...chainScenarios,
  ...metastabilityScenarios,
  ...balancingScenarios,
  ...breakerScenarios,
  ...hedgingScenarios,
  ...serverScenarios,
].sort((a, b) => IDS.indexOf(a.id) - IDS.indexOf(b.id));
