import { balancingScenarios } from "./balancing.ts";
import { breakerScenarios } from "./breakers.ts";
import { hedgingScenarios } from "./hedging.ts";
import { metastabilityScenarios } from "./metastability.ts";
import { retryScenarios } from "./retry.ts";
import { misses } from "./scenario.ts";

const only = process.argv[2];
for (const s of [
  ...retryScenarios,
  ...metastabilityScenarios,
  ...balancingScenarios,
  ...breakerScenarios,
  ...hedgingScenarios,
]) {
  if (only && !s.id.startsWith(only)) continue;
  const t = performance.now();
  const f = await s.run();
  console.log(s.id, s.what, f, misses(s, f), Math.round(performance.now() - t));
}
