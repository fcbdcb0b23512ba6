import type { Attributes } from "./instruments.ts";

/** The series of one instrument: one for each set of attributes that it was used with. */
export interface SeriesSet<S> {
  /** The series of these attributes; whatever their order, it is the same. The series of overflow if there are too many. */
  at(attributes: Attributes): S;
  entries(): Iterable<readonly [Attributes, S]>;
}

/** The most series that one instrument has, the one of overflow included: OpenTelemetry's default. */
export const MAX_SERIES = 2_000;

/** The attributes of the series that takes in what no other series may be made for. */
export const OVERFLOW: Attributes = { "otel.metric.overflow": true };

/** A set of series, each made when it is first used. Attributes that `keeps` does not want tell no series apart. */
export function seriesSet<S>(create: () => S, keeps: (attribute: string) => boolean): SeriesSet<S> {
  const series = new Map<string, readonly [Attributes, S]>();
  // The same attributes in another order: found without sorting them again.
  const aliases = new Map<string, S>();
  let overflow: readonly [Attributes, S] | undefined;

  function find(attributes: Attributes, alias: string): S {
    const kept = keptAttributes(attributes, keeps);
    const key = keyOf(kept);
    const known = series.get(key);
    if (known === undefined && series.size >= MAX_SERIES - 1) {
      overflow ??= [OVERFLOW, create()];
      return overflow[1];
    }
    const found = known ?? ([kept, create()] as const);
    if (!known) series.set(key, found);
    if (aliases.size < MAX_SERIES) aliases.set(alias, found[1]);
    return found[1];
  }

  return {
    at(attributes) {
      const alias = keyOf(attributes);
      return aliases.get(alias) ?? find(attributes, alias);
    },
    entries: () => (overflow ? [...series.values(), overflow] : series.values()),
  };
}

/** The attributes that have a value and are wanted, in the order of their names. */
export function keptAttributes(attributes: Attributes, keeps: (attribute: string) => boolean): Attributes {
  const kept = Object.entries(attributes).filter(([name, value]) => value !== undefined && keeps(name));
  return Object.fromEntries(kept.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** One text for each set of attributes in one order. No attribute holds the character that separates them. */
export function keyOf(attributes: Attributes): string {
  let key = "";
  for (const name in attributes) {
    const value = attributes[name];
    if (value !== undefined) key += `${name}\0${value}\0`;
  }
  return key;
}
