import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import { refuseByMesh } from "../contract/reasons.ts";
import { type Outcome, outcomeOf, withOutcome } from "./outcome.ts";

/**
 * The error of a call that a policy of this process ends: a ConnectError with the reason's code and ErrorInfo. It has
 * no stack: a stack costs more than the rest of a refusal, and would show the policy, not the fault.
 */
export function rejection(
  reason: MeshError,
  message: string,
  kind: Outcome["kind"] = "LOCAL_REJECT",
): ConnectError {
  const { code, name, detail } = worded(reason);
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return withOutcome(new ConnectError(message, code, undefined, [detail]), { kind, code, reason: name });
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

const known = new Map<MeshError, ReturnType<typeof read>>();

/** What is the same in each rejection of a reason, read from the contract once. */
function worded(reason: MeshError): ReturnType<typeof read> {
  let found = known.get(reason);
  if (!found) {
    found = read(reason);
    known.set(reason, found);
  }
  return found;
}

function read(asked: MeshError) {
  const { code, reason, domain, metadata } = refuseByMesh(asked, "");
  const value = create(ErrorInfoSchema, { reason, domain, metadata });
  return { code, name: reason, detail: { desc: ErrorInfoSchema, value } };
}

/** The signal of an attempt that another one of its call has beaten aborts with this reason. */
export const HEDGE_LOST = new ConnectError("another attempt of this call was faster", Code.Canceled);
withOutcome(HEDGE_LOST, { kind: "HEDGE_LOST", code: Code.Canceled });

/** What a call ends with whose signal has aborted: the signal's own reason. A deadline of the caller is one of the call. */
export function callerLeft(reason: unknown): ConnectError {
  const error = ConnectError.from(reason, Code.Canceled);
  if (outcomeOf(error).kind !== "STATUS") return error;
  const kind = error.code === Code.DeadlineExceeded ? "TOTAL_TIMEOUT" : "CALLER_CANCEL";
  return withOutcome(error, { kind, code: error.code });
}

/** The error of a call that took longer than it may, or whose attempt did. */
export function overdue(isTotal: boolean): ConnectError {
  return isTotal
    ? rejection(MeshError.DEADLINE_EXCEEDED, "the call was not answered in time", "TOTAL_TIMEOUT")
    : rejection(MeshError.ATTEMPT_TIMEOUT, "the attempt was not answered in time", "ATTEMPT_TIMEOUT");
}

/** The error of an attempt that took longer than attempts usually do. */
export function unusual(): ConnectError {
  const error = rejection(MeshError.ATTEMPT_TIMEOUT, "the attempt took longer than usual", "ATTEMPT_TIMEOUT");
  return withOutcome(error, { ...outcomeOf(error), wasGuessed: true });
}
