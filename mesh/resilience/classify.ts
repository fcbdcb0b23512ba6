import { Code } from "@connectrpc/connect";
import type { MethodPolicy } from "../contract/policy.ts";
import type { Outcome } from "./outcome.ts";

/** What an outcome says about the endpoint: it works, it fails, it fails in a way that only a share tells, or nothing. */
export type Health = "SUCCESS" | "FAILURE" | "FAILURE_BY_RATIO" | "NOTHING";

const BY_CODE: Readonly<Record<Code, Health>> = {
  [Code.Canceled]: "SUCCESS",
  [Code.Unknown]: "FAILURE_BY_RATIO",
  [Code.InvalidArgument]: "SUCCESS",
  [Code.DeadlineExceeded]: "FAILURE_BY_RATIO",
  [Code.NotFound]: "SUCCESS",
  [Code.AlreadyExists]: "SUCCESS",
  [Code.PermissionDenied]: "SUCCESS",
  [Code.ResourceExhausted]: "FAILURE_BY_RATIO",
  [Code.FailedPrecondition]: "SUCCESS",
  [Code.Aborted]: "SUCCESS",
  [Code.OutOfRange]: "SUCCESS",
  [Code.Unimplemented]: "SUCCESS",
  [Code.Internal]: "FAILURE",
  [Code.Unavailable]: "FAILURE",
  [Code.DataLoss]: "FAILURE",
  [Code.Unauthenticated]: "SUCCESS",
};

/**
 * What an attempt's outcome says about its endpoint. A total deadline counts only if the attempt ran `longEnough`: an
 * endpoint is not to blame for a caller in a hurry.
 */
export function healthOf(outcome: Outcome, longEnough = false): Health {
  switch (outcome.kind) {
    case "NOT_SENT":
    case "LOST":
      return "FAILURE";
    case "ATTEMPT_TIMEOUT":
      // A burst after a quiet time takes longer than usual, all of it, and is no sign that the endpoint is gone.
      return outcome.wasGuessed ? "FAILURE_BY_RATIO" : "FAILURE";
    case "REFUSED":
    case "CALLER_CANCEL":
    case "HEDGE_LOST":
    case "LOCAL_REJECT":
      return "NOTHING";
    case "TOTAL_TIMEOUT":
      return longEnough ? "FAILURE" : "NOTHING";
    case "STATUS":
      // It sheds because it works as much as it can: left alone for seconds, what it can do would be lost.
      if (outcome.reason === "SHED" || outcome.reason === "DRAINING") return "NOTHING";
      if (outcome.reason === "NOT_PROCESSED") return "FAILURE_BY_RATIO";
      return BY_CODE[outcome.code] ?? "FAILURE_BY_RATIO";
  }
}

/** What the retry policy of a method says about one call. */
export interface Repeatable {
  readonly policy: Pick<MethodPolicy, "isIdempotent" | "notProcessedCodes" | "retry">;
  /** True if the request carries its idempotency key. */
  readonly hasKey: boolean;
}

/** True if another attempt of the call is safe and may help. Says nothing of time, budget or number. */
export function mayRetry(outcome: Outcome, { policy, hasKey }: Repeatable): boolean {
  const { kind, code, pushbackMs, retryDelayMs, notProcessed } = outcome;
  if (
    kind === "CALLER_CANCEL" ||
    kind === "TOTAL_TIMEOUT" ||
    kind === "LOCAL_REJECT" ||
    kind === "HEDGE_LOST"
  ) {
    return false;
  }
  if (pushbackMs !== undefined && pushbackMs < 0) return false;
  if (notProcessed || (kind === "STATUS" && policy.notProcessedCodes.includes(code))) return true;
  if (!policy.isIdempotent && !hasKey) return false;
  const { codes } = policy.retry;
  if (codes) return codes.includes(code);
  if (code === Code.ResourceExhausted) return pushbackMs !== undefined || retryDelayMs !== undefined;
  return code === Code.Unavailable || code === Code.DeadlineExceeded;
}

/** True if the caller's own answer, or one that it has kept, may stand in for the server's. */
export function mayAnswerInstead({ kind, code, pushbackMs, retryDelayMs }: Outcome): boolean {
  if (kind === "CALLER_CANCEL") return false;
  // A server that names no time to come back may mean this request, or this caller: too large, or over its quota.
  if (code === Code.ResourceExhausted) return pushbackMs !== undefined || retryDelayMs !== undefined;
  return code === Code.Unavailable || code === Code.DeadlineExceeded;
}
