import { bothWays, type RuleChange } from "./change.ts";

/**
 * What changes if one pattern takes the place of another. Decided for the shape that identifiers have, such as
 * `^[a-z0-9]{1,64}$`; whether one regular expression includes another cannot be said in general, so all else counts as
 * both ways.
 */
export function* comparePatterns(was: string, is: string): Generator<RuleChange> {
  if (was === is) return;
  const what = `pattern is ${is}, was ${was}`;
  const [before, now] = [runOf(was), runOf(is)];
  if (!before || !now) {
    yield* bothWays(what);
    return;
  }
  if (!includes(now, before)) yield { is: "tighter", what };
  if (!includes(before, now)) yield { is: "looser", what };
}

/** So many characters, each one of these. */
interface Run {
  readonly characters: ReadonlySet<string>;
  readonly min: number;
  readonly max: number;
}

const SHAPE = /^\^\[((?:[^\]\\^[]|\\[-.\\\]])+)\](?:\{(\d+)(,?)(\d*)\}|([*+?]?))\$$/;
const QUANTITIES: Readonly<Record<string, [number, number]>> = {
  "": [1, 1],
  "?": [0, 1],
  "*": [0, Number.POSITIVE_INFINITY],
  "+": [1, Number.POSITIVE_INFINITY],
};

function runOf(pattern: string): Run | undefined {
  const [, characters = "", least, comma, most, quantity = ""] = SHAPE.exec(pattern) ?? [];
  if (characters === "") return undefined;
  if (least === undefined) {
    const [min, max] = QUANTITIES[quantity] ?? [1, 1];
    return { characters: charactersOf(characters), min, max };
  }
  const max = comma === "" ? Number(least) : most ? Number(most) : Number.POSITIVE_INFINITY;
  return { characters: charactersOf(characters), min: Number(least), max };
}

function charactersOf(set: string): Set<string> {
  const parts = [...set.matchAll(/(\\?[\s\S])(?:-(\\?[\s\S]))?/g)];
  return new Set(
    parts.flatMap(([, from = "", to = from]) => {
      const [first, last] = [codePoint(from), codePoint(to)];
      return Array.from({ length: last - first + 1 }, (_, index) => String.fromCodePoint(first + index));
    }),
  );
}

function codePoint(character: string): number {
  return character.replace(/^\\(?=.)/, "").codePointAt(0) ?? 0;
}

function includes(wide: Run, narrow: Run): boolean {
  const { characters, min, max } = wide;
  return (
    min <= narrow.min && max >= narrow.max && [...narrow.characters].every((each) => characters.has(each))
  );
}
