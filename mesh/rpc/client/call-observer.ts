import type { Interceptor } from "@connectrpc/connect";
import type { BreakerReason, BreakerState } from "../../resilience/breaker.ts";
import type { Request } from "../../resilience/call.ts";
import type { Degraded } from "../../resilience/degraded.ts";
import type { Suppressed } from "../../resilience/retry.ts";

/** Who is told what happens to calls; telemetry is one. */
export interface CallObserver {
  /** Around a whole call. */
  readonly call: Interceptor;
  /** Around each attempt. */
  readonly attempt: Interceptor;
  readonly degraded: (request: Request, how: Degraded) => void;
  readonly outOfTime: () => void;
  readonly cached: (request: Request, how: "hit" | "stale" | "miss" | "joined") => void;
  readonly bulkheadFull: (request: Request) => void;
  readonly retried: (request: Request, how: "retry" | "transparent", delayMs: number) => void;
  readonly suppressed: (request: Request, why: Suppressed) => void;
  readonly hedged: (request: Request) => void;
  readonly hedgeWon: (request: Request) => void;
  readonly pushedBack: (request: Request, pushbackMs: number | undefined) => void;
  readonly breakerRejected: (request: Request) => void;
  readonly breakerChanged: (
    address: string,
    from: BreakerState,
    to: BreakerState,
    reason: BreakerReason,
  ) => void;
}

const pass: Interceptor = (next) => next;
const ignore = () => {};

/** Tells nobody. */
export const NO_OBSERVER: CallObserver = {
  call: pass,
  attempt: pass,
  degraded: ignore,
  outOfTime: ignore,
  cached: ignore,
  bulkheadFull: ignore,
  retried: ignore,
  suppressed: ignore,
  hedged: ignore,
  hedgeWon: ignore,
  pushedBack: ignore,
  breakerRejected: ignore,
  breakerChanged: ignore,
};
