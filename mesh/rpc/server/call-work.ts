import type { Criticality } from "../../contract/policy.ts";
import type { Caller } from "../../core/caller.ts";
import type { Carried } from "../../core/carried.ts";
import { LazyAbort } from "../../core/signal.ts";
import type { Trace } from "../../core/trace.ts";
import type { Work } from "../../core/work.ts";

/** The work that an incoming unary call is. */
export class CallWork implements Work {
  readonly trace: Trace;
  readonly requestId: string;
  readonly deadlineMs: number;
  readonly criticality: Criticality;
  readonly isRetry: boolean;
  readonly carried: Carried | undefined;
  caller?: Caller;
  dedupeTtlMs?: number;
  standAside?: () => void;
  readonly #abort = new LazyAbort();

  constructor(
    trace: Trace,
    requestId: string,
    deadlineMs: number,
    criticality: Criticality,
    isRetry: boolean,
    carried: Carried | undefined,
  ) {
    this.trace = trace;
    this.requestId = requestId;
    this.deadlineMs = deadlineMs;
    this.criticality = criticality;
    this.isRetry = isRetry;
    this.carried = carried;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Says that nobody waits for the work any more. Safe to call twice; the first reason stays. */
  end(reason: unknown): void {
    this.#abort.abort(reason);
  }
}
