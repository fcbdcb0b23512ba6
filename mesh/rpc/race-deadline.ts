import type { Interceptor } from "@connectrpc/connect";
import type { Clock } from "../core/clock.ts";
import { currentWork, runWork } from "../core/work.ts";
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
  const interceptor: Interceptor = (next) => async (request) => {
    const work = currentWork();
    if (request.stream || !work) return next(request);

    // Linked by hand: `AbortSignal.any` costs as much as the rest of this layer.
    const over = new AbortController();
    const { promise: lost, reject } = Promise.withResolvers<never>();
    let isLost = false;
    let isRunning = false;
    const stop = watchCaller(clock, work.deadlineMs, request.signal, (error) => {
      isLost = true;
      if (isRunning) abandoned++;
      reject(error);
      over.abort(error);
    });
    if (isLost) return lost;
    isRunning = true;
    const handled = runWork({ ...work, signal: over.signal }, async () => next(request));
    const settled = () => {
      isRunning = false;
      if (isLost) abandoned--;
    };
    // The loser's failure is nobody's concern, and must not end the process.
    handled.then(settled, settled);
    try {
      return await Promise.race([handled, lost]);
    } finally {
      stop();
      over.abort(ANSWERED);
    }
  };
  return { interceptor, abandoned: () => abandoned };
}
