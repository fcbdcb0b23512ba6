import { type Contracts, methodsOf } from "../plugin/contracts.ts";
import { changesWithin } from "../validation/changes-within.ts";
import { type Element, elementsOf, KINDS } from "./elements.ts";
import { next, type Version } from "./version.ts";

/** How much a release changes, most first. */
export type Level = "major" | "minor" | "patch" | "none";

/** What a release has to be called, and why. */
export interface Proposal {
  readonly level: Level;
  /** The lowest version that says so. */
  readonly version: Version;
  /** Every reason of every level. */
  readonly reasons: Readonly<Record<Exclude<Level, "none">, readonly string[]>>;
  /** What is new, by kind. */
  readonly added: ReadonlyMap<Element["kind"], number>;
}

/**
 * The version that follows the latest release: major if something breaks, as buf has found; minor if something is new or
 * more is valid; patch if anything else differs.
 */
export function propose(
  latest: Version,
  before: Contracts,
  now: Contracts,
  breaking: readonly string[],
): Proposal {
  const [was, is] = [elementsOf(before), elementsOf(now)];
  const added = [...is.values()].filter((each) => !has(was, each));
  // What is new within something new needs no mention.
  const newest = added.filter((each) => !added.some((other) => other !== each && other.name === each.parent));
  const kept = [...is].flatMap(([key, each]) => {
    const old = was.get(key);
    return old && old.text !== each.text ? [{ old, each }] : [];
  });
  const deprecated = kept.filter(({ old, each }) => each.isDeprecated && !old.isDeprecated);
  const looser = [
    ...changesWithin(
      methodsOf(now).map(({ input }) => input),
      before,
      now,
    ),
  ].filter((change) => change.is === "looser");
  const minor = [
    ...inOrder(newest).map(({ kind, name }) => `new ${kind} ${name}`),
    ...deprecated.map(({ each }) => `deprecated ${each.kind} ${each.name}`),
    ...looser.map(({ at, what }) => `more requests are valid: ${at.toString()}: ${what}`),
  ];
  const gone = [...was.values()].filter((each) => !has(is, each));
  const patch = [
    ...kept.map(({ each }) => `other options of ${each.kind} ${each.name}`),
    ...inOrder(gone).map(({ kind, name }) => `no more ${kind} ${name}`),
  ];
  const reasons = { major: breaking, minor, patch };
  const level = (["major", "minor", "patch"] as const).find((each) => reasons[each].length > 0) ?? "none";
  return { level, version: next(latest, level), reasons, added: countByKind(newest) };
}

function has(elements: ReadonlyMap<string, Element>, { kind, name }: Element): boolean {
  return elements.has(`${kind} ${name}`);
}

function inOrder(elements: readonly Element[]): Element[] {
  return elements.toSorted((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind));
}

function countByKind(elements: readonly Element[]): Map<Element["kind"], number> {
  const counts = new Map<Element["kind"], number>();
  for (const { kind } of inOrder(elements)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}
