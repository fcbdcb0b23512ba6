/** What a figure must be. */
export interface Bound {
  readonly text: string;
  holds(value: number): boolean;
}

/** At most this. */
export const atMost = (limit: number, unit = ""): Bound => ({
  text: `<= ${limit}${unit}`,
  holds: (value) => value <= limit,
});

/** At least this. */
export const atLeast = (limit: number, unit = ""): Bound => ({
  text: `>= ${limit}${unit}`,
  holds: (value) => value >= limit,
});

/** From one to the other. */
export const within = (least: number, most: number, unit = ""): Bound => ({
  text: `${least} to ${most}${unit}`,
  holds: (value) => value >= least && value <= most,
});

/** Does not happen before the end, as a time that is Infinity. */
export const never: Bound = { text: "never", holds: (value) => value === Number.POSITIVE_INFINITY };

/** The figures of a run, by what they are. */
export type Figures = Readonly<Record<string, number>>;

/** A situation, and what must come of it. */
export interface Situation {
  /** As other documents name it: R1. */
  readonly id: string;
  readonly what: string;
  /** What each figure must be. A control shows that the situation can go wrong: it expects what must not be. */
  readonly expects: Readonly<Record<string, Bound>>;
}

/** A situation that the policies are put into, in the simulator. */
export interface Scenario extends Situation {
  run(): Promise<Figures>;
}

/** The figures that are not what they must be. */
export function misses({ expects }: Situation, figures: Figures): string[] {
  return Object.entries(expects)
    .filter(([name, bound]) => !bound.holds(figures[name] ?? Number.NaN))
    .map(([name, bound]) => `${name}: ${figures[name]}, expected ${bound.text}`);
}
