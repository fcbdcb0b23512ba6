import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { MESH_DOMAIN } from "../contract/reasons.ts";
import { type Delivery, deliveryOf } from "../core/delivery.ts";

/** How an attempt or a call ended without a good answer. */
export interface Outcome {
  readonly kind:
    | Delivery
    /** The server answered with a code. */
    | "STATUS"
    /** The attempt took longer than one may. */
    | "ATTEMPT_TIMEOUT"
    /** The whole call took longer than it may. */
    | "TOTAL_TIMEOUT"
    /** The caller left. */
    | "CALLER_CANCEL"
    /** Another attempt of the same call won. */
    | "HEDGE_LOST"
    /** A policy of this process refused; nothing was sent. */
    | "LOCAL_REJECT";
  readonly code: Code;
  /** The reason of our own domain, if one was given. */
  readonly reason: string | undefined;
  /** When the server wants to be asked again, in milliseconds; negative means not at all. */
  readonly pushbackMs: number | undefined;
  /** How long to wait at least, by `google.rpc.RetryInfo`, in milliseconds. */
  readonly retryDelayMs: number | undefined;
  /** True if the server is known not to have begun. */
  readonly notProcessed: boolean;
  /** True if the time that it was given was a guess from what attempts took before, which no contract states. */
  readonly wasGuessed?: boolean;
}

const known = new WeakMap<object, Outcome>();
const NOT_BEGUN: readonly string[] = ["SHED", "DRAINING", "NOT_PROCESSED"];
const MAX_PUSHBACK_MS = 30_000;

/**
 * What an error says about the attempt, read once: what a policy of this process remembered with it, what the
 * transport knew, or the server's status.
 */
export function outcomeOf(error: unknown): Outcome {
  if (typeof error !== "object" || error === null) return statusOf(ConnectError.from(error), undefined);
  let outcome = known.get(error);
  if (!outcome) {
    outcome = statusOf(ConnectError.from(error), deliveryOf(error));
    known.set(error, outcome);
  }
  return outcome;
}

/** Remembers with an error what it means, where only its maker knows. Returns the error. */
export function withOutcome<E extends object>(
  error: E,
  outcome: Partial<Outcome> & Pick<Outcome, "kind" | "code">,
): E {
  known.set(error, { ...NOTHING, ...outcome });
  return error;
}

const NOTHING = { reason: undefined, pushbackMs: undefined, retryDelayMs: undefined, notProcessed: false };

function statusOf(error: ConnectError, delivery: Delivery | undefined): Outcome {
  const info = error.details.length > 0 ? error.findDetails(ErrorInfoSchema)[0] : undefined;
  const retryInfo = error.details.length > 0 ? error.findDetails(RetryInfoSchema)[0] : undefined;
  const reason = info?.domain === MESH_DOMAIN ? info.reason : undefined;
  return {
    kind: delivery ?? "STATUS",
    code: delivery ? Code.Unavailable : error.code,
    reason,
    pushbackMs: readPushback(error.metadata.get("grpc-retry-pushback-ms")),
    retryDelayMs: retryInfo?.retryDelay && durationMs(retryInfo.retryDelay),
    notProcessed:
      delivery === "NOT_SENT" ||
      delivery === "REFUSED" ||
      ((error.code === Code.Unavailable || error.code === Code.ResourceExhausted) &&
        reason !== undefined &&
        NOT_BEGUN.includes(reason)),
  };
}

/**
 * The server's pushback (gRFC A6): a whole number of milliseconds. What is negative, no number, or longer than 30
 * seconds means: do not retry.
 */
function readPushback(text: string | null): number | undefined {
  if (text === null) return undefined;
  const pushbackMs = /^(0|[1-9]\d{0,9})$/.test(text) ? Number(text) : -1;
  return pushbackMs > MAX_PUSHBACK_MS ? -1 : pushbackMs;
}
