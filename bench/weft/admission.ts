import { systemClock } from "../../mesh/core/clock.ts";
import type { AdmissionOptions } from "../../mesh/resilience/admission.ts";
import { gradient2 } from "../../mesh/resilience/limiter.ts";

/**
 * The admission of a server that is measured with 64 calls in flight: it works as always, but its limit begins at its
 * most. The limit that it would find for a handler of some microseconds is lower, and refusals are not what is measured.
 */
export const WIDE: Pick<AdmissionOptions, "limiter"> = {
  limiter: gradient2({ initial: 200, min: 200 }, systemClock),
};
