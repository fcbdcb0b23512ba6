import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { MeshError } from "../../../gen/mesh/error/v1/error_pb.ts";
import { refuseByMesh } from "../../contract/reasons.ts";
import { type Clock, MAX_TIMER_MS } from "../../core/clock.ts";
import type { AppError } from "../../core/errors.ts";
import { currentWork } from "../../core/work.ts";
import type { Gate } from "./gate.ts";

/** The error of a call whose deadline has passed. */
export function overdue(): AppError {
  return refuseByMesh(MeshError.DEADLINE_EXCEEDED, "the deadline passed before the call was done");
}

/** Refuses a call whose deadline has passed before it begins. */
export function refuseOverdue(clock: Clock, onOverdue: (method: DescMethod) => void = () => {}): Gate {
  const isOverdue = (deadlineMs: number) => deadlineMs <= clock.now();
  const refuse = (method: DescMethod) => {
    onOverdue(method);
    return overdue();
  };
  return {
    refusal: ({ method, deadlineMs }) => (isOverdue(deadlineMs) ? refuse(method) : undefined),
    interceptor: (next) => (request) =>
      isOverdue(currentWork()?.deadlineMs ?? Number.POSITIVE_INFINITY)
        ? Promise.reject(refuse(request.method))
        : next(request),
  };
}

/** Tells, once, when the deadline has passed or the caller has gone. The returned function stops the watch. */
export function watchCaller(
  clock: Clock,
  deadlineMs: number,
  caller: AbortSignal,
  onLost: (error: unknown) => void,
): () => void {
  // Connect watches the caller's timeout too, and is often a moment earlier; its error would name no reason.
  const reasonOf = () => (isDeadline(caller.reason) ? overdue() : caller.reason);
  if (caller.aborted) {
    onLost(reasonOf());
    return () => {};
  }
  const stop = () => {
    cancel();
    caller.removeEventListener("abort", gone);
  };
  const lose = (error: unknown) => {
    stop();
    onLost(error);
  };
  const gone = () => lose(reasonOf());
  const cancel = clock.after(Math.min(deadlineMs - clock.now(), MAX_TIMER_MS), () => lose(overdue()));
  caller.addEventListener("abort", gone, { once: true });
  return stop;
}

function isDeadline(reason: unknown): boolean {
  return reason instanceof ConnectError && reason.code === Code.DeadlineExceeded;
}
