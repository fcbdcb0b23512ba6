import type { Allowance, Taken } from "./allowance.ts";

/** What a call has taken of an allowance. */
export interface Counted {
  readonly of: Pick<Allowance, "name" | "maxCalls" | "windowMs">;
  readonly taken: Taken;
}

/**
 * The headers that tell a caller what it may, and what is left of it (draft-ietf-httpapi-ratelimit-headers-11): by the name
 * of each policy, its quota `q` in a window of `w` seconds, and `r` calls that remain until it begins anew, in `t` seconds.
 */
export function rateLimitFields(counted: readonly Counted[]): Record<string, string> {
  return {
    "ratelimit-policy": counted
      .map(({ of }) => `"${of.name}";q=${of.maxCalls};w=${seconds(of.windowMs)}`)
      .join(", "),
    ratelimit: counted
      .map(({ of, taken }) => `"${of.name}";r=${taken.callsLeft};t=${seconds(taken.resetMs)}`)
      .join(", "),
  };
}

/** Whole seconds, upwards: who comes sooner comes for nothing. */
export function seconds(ms: number): number {
  return Math.ceil(ms / 1_000);
}
