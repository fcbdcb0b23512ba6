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
  const open = standings.filter(({ isOpen, hasRefused }) => isOpen || hasRefused).length;
  const isPanic = endpoints.length >= PANIC_FROM && open / endpoints.length > PANIC_SHARE;
  const faults = standings.map(({ isOpen, isServing, wasTried, hasRefused }) =>
    hasRefused || (isOpen && !isPanic) ? Number.POSITIVE_INFINITY : 2 * Number(!isServing) + Number(wasTried),
  );
  const least = Math.min(...faults);
  const isBest = (_: E, i: number) => least < Number.POSITIVE_INFINITY && faults[i] === least;
  return { endpoints: endpoints.filter(isBest), isPanic };
}
