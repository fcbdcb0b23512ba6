import type { BalancerName } from "../contract/policy.ts";
import type { Load } from "./load.ts";

/** What a picker looks at. */
export interface Candidate {
  readonly load: Load;
  /** From just above 0 to 1: the part of its share that an endpoint gets while it warms up. */
  weight(): number;
}

/** Chooses one of several endpoints; undefined if there is none. `isRetry` if one that the call has tried is left out. */
export type Pick = <C extends Candidate>(candidates: readonly C[], isRetry?: boolean) => C | undefined;

/** The picker of this name, with a memory of its own. */
export function picker(name: BalancerName, random: () => number = Math.random): Pick {
  switch (name) {
    case "p2c_peak_ewma":
      return dueFirst(twoChoices(random, (each) => each.load.cost()));
    case "least_request":
      return twoChoices(random, (each) => each.load.pending);
    case "round_robin":
      return roundRobin(random);
    case "pick_first":
      return pickFirst();
  }
}

/**
 * One that failed and is due for another try is tried: by its cost alone it would not be for a minute. A retry, which
 * may be its call's last chance, is not what tries it.
 */
function dueFirst(otherwise: Pick): Pick {
  return (candidates, isRetry = false) => {
    const due = isRetry ? undefined : candidates.find(({ load }) => load.isDue());
    return due ?? otherwise(candidates, isRetry);
  };
}

/**
 * The better of two endpoints chosen by chance (Mitzenmacher, "The Power of Two Choices"; gRFC A48 for least request).
 * Looking at all of them would send every caller to the same one. One that warms up stands aside by chance: were its
 * cost weighed instead, it would get nothing at all while the others have time, and then its share at one stroke.
 */
function twoChoices(random: () => number, costOf: (each: Candidate) => number): Pick {
  return (candidates) => {
    const { length } = candidates;
    if (length <= 1) return candidates[0];
    const first = Math.floor(random() * length);
    const second = (first + 1 + Math.floor(random() * (length - 1))) % length;
    const [one, other] = [candidates[first], candidates[second]];
    if (!one || !other) return one ?? other;
    const isWarm = takesTurn(one, random);
    if (isWarm !== takesTurn(other, random)) return isWarm ? one : other;
    return costOf(other) < costOf(one) ? other : one;
  };
}

function takesTurn(candidate: Candidate, random: () => number): boolean {
  const weight = candidate.weight();
  return weight >= 1 || random() < weight;
}

/**
 * In turn. One that warms up is passed over by chance, so that it gets its part of the turns. Retries have turns of
 * their own: were they to take those of first attempts, of two endpoints the one that fails would be every call's first.
 */
function roundRobin(random: () => number): Pick {
  const start = Math.floor(random() * 2 ** 16);
  const turns = { first: start, retry: start };
  return (candidates, isRetry = false) => {
    const next = () => candidates[turns[isRetry ? "retry" : "first"]++ % Math.max(1, candidates.length)];
    for (let passed = 0; passed < candidates.length; passed++) {
      const each = next();
      if (each && takesTurn(each, random)) return each;
    }
    return next();
  };
}

/** The same one as before if it is still there, else the first. The detour of a retry is no reason to stay there. */
function pickFirst(): Pick {
  let last: Candidate | undefined;
  return (candidates, isRetry = false) => {
    const kept = candidates.find((each) => each === last) ?? candidates[0];
    if (!isRetry) last = kept;
    return kept;
  };
}
