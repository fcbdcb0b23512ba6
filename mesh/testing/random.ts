/** Chance that a seed repeats. */
export interface Random {
  /** A number from 0 to below 1. */
  next(): number;
  /** A whole number from 0 to below `count`. */
  below(count: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  /** One of them. */
  pick<T>(values: readonly T[]): T;
  /** All of them in another order. */
  shuffled<T>(values: readonly T[]): T[];
}

/** The generator mulberry32: small, and good enough to choose test cases. */
export function random(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (count: number) => Math.floor(next() * count);
  return {
    next,
    below,
    chance: (probability) => next() < probability,
    pick<T>(values: readonly T[]): T {
      if (values.length === 0) throw new RangeError("there is nothing to pick from");
      return values[below(values.length)] as T;
    },
    shuffled<T>(values: readonly T[]): T[] {
      const keyed = values.map((value) => ({ value, at: next() }));
      return keyed.sort((a, b) => a.at - b.at).map(({ value }) => value);
    },
  };
}
