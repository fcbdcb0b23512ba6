import type { Outcome } from "./outcome.ts";

// A call that was never sent goes elsewhere at once, and then not at once: the list of endpoints may be old.
const DELAYS_MS = [0, 10, 50];

/**
 * Says of each failure of one call whether it is made good without counting as an attempt, and after how many
 * milliseconds: what never left, three times, and what was refused unread, once (gRFC A6's transparent retries).
 */
export function transparentRetries(): (outcome: Outcome) => number | undefined {
  let unsent = 0;
  let wasRefused = false;
  return ({ kind }) => {
    if (kind === "NOT_SENT") return DELAYS_MS[unsent++];
    if (kind !== "REFUSED" || wasRefused) return undefined;
    wasRefused = true;
    return 0;
  };
}
