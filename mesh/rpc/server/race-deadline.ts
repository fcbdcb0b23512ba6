import type { Interceptor } from "@connectrpc/connect";
import type { Clock } from "../../core/clock.ts";
import { currentWork } from "../../core/work.ts";
import { CallWork } from "./call-work.ts";
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
    if (request.stream || !(work instanceof CallWork)) return next(request);

    let isRunning = false;
    return new Promise((resolve, reject) => {
      let isLost = false;
      const stop = watchCaller(clock, work.deadlineMs, request.signal, (error) => {
        isLost = true;
        if (isRunning) abandoned++;
        reject(error);
        work.end(error);
      });
      if (isLost) return;
      isRunning = true;
      const ended = () => {
        isRunning = false;
        if (isLost) abandoned--;
        stop();
        work.end(ANSWERED);
      };
      // The loser's failure is nobody's concern, and must not end the process.
      next(request).then(
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
