import type { Variant } from "../../mesh/testing/simulator/variants.ts";

/** What a server is like. */
export interface ServerPlan {
  /** How many calls it works on at a time. */
  readonly workers: number;
  /** How long a call takes: the median if `sigma` is given (lognormal), else the mean (exponential). Milliseconds. */
  readonly workMs: number;
  readonly sigma?: number;
  /** How long a call may take by its contract, which both sides read. Milliseconds. */
  readonly timeoutMs: number;
  /** Takes all it is sent, and works on it though its caller has gone: a server without the mesh's protections. */
  readonly doesEverything?: boolean;
}

/** What a client does. */
export interface ClientPlan {
  readonly ports: readonly number[];
  /** Calls per second, which come by chance whether or not earlier ones were answered. */
  readonly rps: number;
  readonly forMs: number;
  readonly variant: Variant;
  readonly header?: Readonly<Record<string, string>>;
}
