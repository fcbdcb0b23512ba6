/** What is known of an endpoint when a call is to be placed. */
export interface Standing {
  /** False if it said that it does not serve. */
  readonly isServing: boolean;
  /** True if its breaker is open. */
  readonly isOpen: boolean;
  /** True if this call was there before. */
  readonly wasTried: boolean;
  /** True if its breaker has just refused this attempt. */
  readonly hasRefused: boolean;
}

/** Which endpoints may take a call. */
export interface Eligible<E> {
  readonly endpoints: readonly E[];
  /** True if so many breakers are open that they are not looked at. */
  readonly isPanic: boolean;
}

// Envoy's panic threshold. With one or two endpoints it would mean that a breaker never rejects.
const PANIC_SHARE = 0.5;
const PANIC_FROM = 3;

/**
 * The endpoints that may take a call: not open, serving, and not tried before. If nobody is all of that, the last wish is
 * given up first, and what is left of them holds. Open breakers are passed over always but in a panic, when more than
 * half of three or more are open: then the fault is likely not with them. Empty if there are endpoints but all breakers
 * are open.
 */
export function eligible<E>(endpoints: readonly E[], standingOf: (endpoint: E) => Standing): Eligible<E> {
  const standings = endpoints.map(standingOf);
  let open = 0;
  for (const { isOpen, hasRefused } of standings) if (isOpen || hasRefused) open++;
  const isPanic = endpoints.length >= PANIC_FROM && open / endpoints.length > PANIC_SHARE;
  let best: E[] = [];
  let least = Number.POSITIVE_INFINITY;
  for (const [i, endpoint] of endpoints.entries()) {
    const faults = faultsOf(standings[i] as Standing, isPanic);
    if (faults < least) best = [];
    least = Math.min(least, faults);
    if (faults === least && faults < Number.POSITIVE_INFINITY) best.push(endpoint);
  }
  return { endpoints: best, isPanic };
}

function faultsOf({ isOpen, isServing, wasTried, hasRefused }: Standing, isPanic: boolean): number {
  if (hasRefused || (isOpen && !isPanic)) return Number.POSITIVE_INFINITY;
  return 2 * Number(!isServing) + Number(wasTried);
}
