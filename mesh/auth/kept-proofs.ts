import { LRUCache } from "lru-cache";
import type { Caller } from "../core/caller.ts";
import type { Clock } from "../core/clock.ts";

/** Callers whose tokens have proved them a moment ago. */
export interface KeptProofs {
  /** Whom this token proves; undefined if that is not known, or not any more. */
  find(token: string): Caller | undefined;
  /** Keeps it for 5 seconds, and not beyond `endsAtMs`, the time of day at which the token ends. */
  keep(token: string, caller: Caller, endsAtMs: number): void;
}

const KEPT_FOR_MS = 5_000;
const MAX_KEPT = 1_000;

/**
 * Keeps the proofs of the last thousand tokens for a moment: to check a signature with each call of a caller is a good part of what the
 * call costs. What is no proof is never kept, so made-up tokens push nobody out.
 */
export function keptProofs(clock: Clock): KeptProofs {
  const kept = new LRUCache<string, { readonly caller: Caller; readonly untilMs: number }>({ max: MAX_KEPT });
  return {
    find(token) {
      const proof = kept.get(token);
      return proof && clock.now() < proof.untilMs ? proof.caller : undefined;
    },
    keep(token, caller, endsAtMs) {
      const leftMs = Math.min(KEPT_FOR_MS, endsAtMs - clock.date().getTime());
      kept.set(token, { caller, untilMs: clock.now() + leftMs });
    },
  };
}
