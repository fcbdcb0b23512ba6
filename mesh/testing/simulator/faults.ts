/** What is wrong with a server for a while. */
export interface Fault {
  /** Milliseconds on the clock. Defaults to the beginning. */
  readonly fromMs?: number;
  /** Defaults to the end. */
  readonly toMs?: number;
  /** Work that begins now takes so many times as long: a fifth of the capacity is 5. */
  readonly slowdown?: number;
  /** The share of calls that is answered with UNAVAILABLE, unworked, after `failsInMs`. */
  readonly failShare?: number;
  /** Defaults to 1. */
  readonly failsInMs?: number;
  /** Nobody listens. */
  readonly isDead?: boolean;
  /** The share of calls whose work takes `stallMs` longer. */
  readonly stallShare?: number;
  /** Defaults to 500. */
  readonly stallMs?: number;
}

/** The faults that are in place at a moment. */
export function present(faults: readonly Fault[], nowMs: number): readonly Fault[] {
  if (faults.length === 0) return faults;
  return faults.filter(({ fromMs = 0, toMs = Number.POSITIVE_INFINITY }) => fromMs <= nowMs && nowMs < toMs);
}
