/** What is known of an endpoint when a call is to be placed. */
export interface Standing {
  /** False if it said that it does not serve. */
  readonly isServing: boolean;
  /** True if its breaker is open. */
  readonly isOpen: boolean;
  /** True if this call was there before. */
  readonly wasTried: boolean;
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
 * The endpoints that may take a call: serving, not open, and not tried before. What nobody fulfils is given up, the
 * last first; open breakers only in a panic, when more than half of three or more are open: then the fault is likely
 * not with them. Empty if there are endpoints but all breakers are open.
 */
export function eligible<E>(endpoints: readonly E[], standingOf: (endpoint: E) => Standing): Eligible<E> {
  const standings = endpoints.map(standingOf);
  const open = standings.filter(({ isOpen }) => isOpen).length;
  const isPanic = endpoints.length >= PANIC_FROM && open / endpoints.length > PANIC_SHARE;
  const wishes: ((standing: Standing) => boolean)[] = [
    ({ isOpen }) => isPanic || !isOpen,
    ({ isServing }) => isServing,
    ({ wasTried }) => !wasTried,
  ];
  for (let kept = wishes.length; kept > 0; kept--) {
    const fulfil = (_: E, i: number) => {
      const standing = standings[i];
      return standing !== undefined && wishes.slice(0, kept).every((wish) => wish(standing));
    };
    const found = endpoints.filter(fulfil);
    if (found.length > 0) return { endpoints: found, isPanic };
  }
  return { endpoints: [], isPanic };
}
