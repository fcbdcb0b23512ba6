import type { Criticality } from "../../contract/policy.ts";
import type { Trace } from "../../core/trace.ts";
import type { Work } from "../../core/work.ts";

/** The work that an incoming unary call is. */
export class CallWork implements Work {
  readonly trace: Trace;
  readonly requestId: string;
  readonly deadlineMs: number;
  readonly criticality: Criticality;
  readonly isRetry: boolean;
  standAside?: () => void;
  #controller: AbortController | undefined;
  #end: { readonly reason: unknown } | undefined;

  constructor(
    trace: Trace,
    requestId: string,
    deadlineMs: number,
    criticality: Criticality,
    isRetry: boolean,
  ) {
    this.trace = trace;
    this.requestId = requestId;
    this.deadlineMs = deadlineMs;
    this.criticality = criticality;
    this.isRetry = isRetry;
  }

  /** Made when somebody asks for it: most handlers never do, and it costs as much as several layers. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#end) this.#controller.abort(this.#end.reason);
    return this.#controller.signal;
  }

  /** Says that nobody waits for the work any more. Safe to call twice; the first reason stays. */
  end(reason: unknown): void {
    this.#end ??= { reason };
    this.#controller?.abort(this.#end.reason);
  }
}
