import type { Interceptor } from "@connectrpc/connect";
import type { Clock } from "../../core/clock.ts";
import { currentWork, runWork, type Work } from "../../core/work.ts";
import { watchCaller } from "./overdue.ts";

/** A layer that answers in time for handlers that do not. */
export interface DeadlineRace {
  readonly interceptor: Interceptor;
  /** How many handlers still run whose calls have been answered without them. */
  abandoned(): number;
}

const ANSWERED = new Error("the call has been answered");

/**
 * Answers a unary call at its deadline, or as soon as its caller has gone, even if the handler does not look at its
 * signal: nobody waits for what it would say. The signal of the handler's `currentWork()` aborts at the same moment, and
 * when the call has been answered, so that nothing that the handler has left behind goes on for nobody.
 */
export function raceDeadline(clock: Clock): DeadlineRace {
  let abandoned = 0;
  const interceptor: Interceptor = (next) => (request) => {
    const work = currentWork();
    if (request.stream || !work) return next(request);

    const raced = new RacedWork(work);
    let isRunning = false;
    return new Promise((resolve, reject) => {
      let isLost = false;
      const stop = watchCaller(clock, work.deadlineMs, request.signal, (error) => {
        isLost = true;
        if (isRunning) abandoned++;
        reject(error);
        raced.abort(error);
      });
      if (isLost) return;
      isRunning = true;
      const ended = () => {
        isRunning = false;
        if (isLost) abandoned--;
        stop();
        raced.abort(ANSWERED);
      };
      // The loser's failure is nobody's concern, and must not end the process.
      runWork(raced, () => next(request)).then(
        (response) => {
          ended();
          resolve(response);
        },
        (error) => {
          ended();
          reject(error);
        },
      );
    });
  };
  return { interceptor, abandoned: () => abandoned };
}

/** A work whose signal is made when somebody asks for it: most handlers never do, and it costs as much as this layer. */
class RacedWork implements Work {
  readonly trace: Work["trace"];
  readonly requestId: string;
  readonly deadlineMs: number;
  readonly criticality?: string;
  readonly isRetry?: boolean;
  readonly causationId?: string;
  readonly standAside?: () => void;
  #controller: AbortController | undefined;
  #end: { readonly reason: unknown } | undefined;

  constructor({ trace, requestId, deadlineMs, criticality, isRetry, causationId, standAside }: Work) {
    this.trace = trace;
    this.requestId = requestId;
    this.deadlineMs = deadlineMs;
    if (criticality !== undefined) this.criticality = criticality;
    if (isRetry !== undefined) this.isRetry = isRetry;
    if (causationId !== undefined) this.causationId = causationId;
    if (standAside !== undefined) this.standAside = standAside;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#end) this.#controller.abort(this.#end.reason);
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#end ??= { reason };
    this.#controller?.abort(this.#end.reason);
  }
}
