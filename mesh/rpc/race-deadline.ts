import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import { refuseByMesh } from "../contract/reasons.ts";
import { type Clock, MAX_TIMER_MS } from "../core/clock.ts";
import { currentWork, runWork } from "../core/work.ts";

/**
 * Answers a unary call at its deadline, or as soon as its caller has gone, even if the handler does not look at its
 * signal: nobody waits for what it would say. The signal of the handler's `currentWork()` aborts at the same moment.
 */
export function raceDeadline(clock: Clock): Interceptor {
  return (next) => async (request) => {
    const work = currentWork();
    if (request.stream || !work) return next(request);
    const leftMs = work.deadlineMs - clock.now();
    if (leftMs <= 0) throw overdue();

    const over = new AbortController();
    const signal = AbortSignal.any([request.signal, over.signal]);
    let lose: (error: unknown) => void = () => {};
    const lost = new Promise<never>((_, reject) => {
      lose = reject;
    });
    const timer = setTimeout(
      () => {
        lose(overdue());
        over.abort();
      },
      Math.min(leftMs, MAX_TIMER_MS),
    );
    // Connect watches the caller's timeout too, and is often a moment earlier; its error would name no reason.
    const gone = () => lose(isDeadline(request.signal.reason) ? overdue() : request.signal.reason);
    request.signal.addEventListener("abort", gone, { once: true });
    try {
      const handled = runWork({ ...work, signal }, () => next(request));
      // The loser's failure is nobody's concern, and must not end the process.
      handled.catch(() => {});
      return await Promise.race([handled, lost]);
    } finally {
      clearTimeout(timer);
      request.signal.removeEventListener("abort", gone);
    }
  };
}

function isDeadline(reason: unknown): boolean {
  return reason instanceof ConnectError && reason.code === Code.DeadlineExceeded;
}

function overdue() {
  return refuseByMesh(MeshError.DEADLINE_EXCEEDED, "the deadline passed before the call was done");
}
