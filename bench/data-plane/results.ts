import type { PairMeasured } from "../calls/pair.ts";
import { median } from "../calls/statistics.ts";
import type { AttackMeasured, IdleMeasured } from "./pair.ts";

/** One case of one subject in one round. */
export interface Entry<M> {
  readonly round: number;
  readonly subject: string;
  readonly case: string;
  readonly measured: M;
}

/** All that was measured. */
export interface Results {
  readonly calls: readonly Entry<PairMeasured>[];
  readonly idle: readonly Entry<IdleMeasured>[];
  /** By the name of the attack; that of none is empty. */
  readonly attacks: readonly Entry<AttackMeasured>[];
}

/** A case of a subject. */
export interface Which {
  readonly subject: string;
  readonly case: string;
}

/** The rounds of a case of a subject. */
export function roundsOf<M>(entries: readonly Entry<M>[], which: Which): Entry<M>[] {
  return entries.filter((entry) => entry.subject === which.subject && entry.case === which.case);
}

/** The median of the rounds; NaN of none. */
export function medianOf<M>(entries: readonly Entry<M>[], pick: (measured: M) => number): number {
  return median(entries.map(({ measured }) => pick(measured)));
}

/** One beside another: the median of the ratios of the rounds that both have; NaN if there is none. */
export function ratioOf<M>(
  entries: readonly Entry<M>[],
  one: Which,
  other: Which,
  pick: (measured: M) => number,
): number {
  const others = new Map(roundsOf(entries, other).map(({ round, measured }) => [round, pick(measured)]));
  const ratios = roundsOf(entries, one).map(
    ({ round, measured }) => pick(measured) / (others.get(round) ?? Number.NaN),
  );
  return median(ratios.filter((ratio) => !Number.isNaN(ratio)));
}
