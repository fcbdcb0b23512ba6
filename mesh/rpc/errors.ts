import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { MeshError, MeshErrorSchema } from "../../gen/mesh/error/v1/error_pb.ts";
import { MESH_DOMAIN, reasonName, refuseByMesh } from "../contract/reasons.ts";
import { AppError, isUnavailable } from "../core/errors.ts";
import { outcomeOf } from "../resilience/outcome.ts";
import { isRetryExhausted } from "../resilience/retry.ts";
import { PUSHBACK_HEADER } from "./call-headers.ts";

/**
 * What leaves the service for an error: an {@link AppError} as it is, with ErrorInfo, for bad fields BadRequest, and
 * RetryInfo where trying again later is worth it; a part that is away as UNAVAILABLE; anything else as INTERNAL, without
 * its text. An error of a service that was called does not pass through: its reasons mean nothing to our callers.
 */
export function toConnectError(error: unknown): ConnectError {
  if (error instanceof AppError) return encode(error);
  if (error instanceof ConnectError) return answers.has(error) ? encode(ofDependency(error)) : error;
  if (isUnavailable(error)) return encode(dependencyUnavailable(error));
  return encode(refuseByMesh(MeshError.INTERNAL, "internal error", { cause: error }));
}

const RETRY_EXHAUSTED = reasonName(MeshErrorSchema, MeshError.RETRY_EXHAUSTED_DOWNSTREAM);

// Connect has one error class for what a service answered us and for what we refuse in a request's bytes.
const answers = new WeakSet<ConnectError>();

/** Remembers that this error is what a service that we called answered, so that it does not pass through to our caller. */
export function markAsAnswer(error: unknown): unknown {
  if (error instanceof ConnectError) answers.add(error);
  return error;
}

// These say that the service looked at the call and will not do it; all else says that it could not.
const REFUSALS: readonly Code[] = [
  Code.InvalidArgument,
  Code.NotFound,
  Code.AlreadyExists,
  Code.PermissionDenied,
  Code.Unauthenticated,
  Code.ResourceExhausted,
  Code.FailedPrecondition,
  Code.Aborted,
  Code.OutOfRange,
  Code.Unimplemented,
];

/**
 * A refusal of a service that we called as one of our own, with its reason: for who passes calls on, to callers that know
 * the contract of that service. Any other error stays what it is.
 */
export function asOwnRefusal(error: unknown): unknown {
  if (!(error instanceof ConnectError) || !answers.has(error) || !REFUSALS.includes(error.code)) return error;
  const own = new ConnectError(error.rawMessage, error.code, undefined, undefined, error);
  own.details = error.details;
  return own;
}

/** What our caller learns of an error of a service that we called. */
function ofDependency(error: ConnectError): AppError {
  if (isRetryExhausted(error) || (outcomeOf(error).pushbackMs ?? 0) < 0) return retryExhausted(error);
  switch (error.code) {
    case Code.DeadlineExceeded:
      return refuseByMesh(MeshError.DEADLINE_EXCEEDED, "a service this call needs did not answer in time", {
        cause: error,
      });
    case Code.Unavailable:
    case Code.ResourceExhausted:
    case Code.Canceled:
    case Code.Aborted:
      return dependencyUnavailable(error);
    default:
      return refuseByMesh(MeshError.INTERNAL, "internal error", { cause: error });
  }
}

/** One layer of a chain retries; each that did would multiply the load of those below it. */
function retryExhausted(cause: unknown): AppError {
  return refuseByMesh(
    MeshError.RETRY_EXHAUSTED_DOWNSTREAM,
    "a part this call needs is away, and was asked often enough",
    { cause },
  );
}

function dependencyUnavailable(cause: unknown): AppError {
  return refuseByMesh(MeshError.DEPENDENCY_UNAVAILABLE, "a part this call needs is away; try again", {
    cause,
  });
}

function encode(error: AppError): ConnectError {
  const { message, code, reason, domain, metadata, violations, retryDelayMs } = error;
  const info = create(ErrorInfoSchema, { reason, domain, metadata });
  const encoded = new ConnectError(message, code, undefined, [{ desc: ErrorInfoSchema, value: info }], error);
  if (domain === MESH_DOMAIN && reason === RETRY_EXHAUSTED) encoded.metadata.set(PUSHBACK_HEADER, "-1");
  // RFC 6750: how to ask again. REST and Connect show it as the header that HTTP knows.
  if (code === Code.Unauthenticated) encoded.metadata.set("www-authenticate", "Bearer");
  if (violations.length > 0) {
    const fields = create(BadRequestSchema, { fieldViolations: violations.map((v) => ({ ...v })) });
    encoded.details.push({ desc: BadRequestSchema, value: fields });
  }
  if (retryDelayMs !== undefined) {
    const retryInfo = create(RetryInfoSchema, { retryDelay: durationFromMs(retryDelayMs) });
    encoded.details.push({ desc: RetryInfoSchema, value: retryInfo });
  }
  return encoded;
}

/** Why a service refused. */
export type Reason = Pick<AppError, "reason" | "domain" | "metadata">;

/** The reason that another service gave, and the domain that gives it its meaning. Undefined if it gave none. */
export function reasonOf(error: unknown): Reason | undefined {
  if (error instanceof AppError) return error;
  if (!(error instanceof ConnectError)) return undefined;
  return error.findDetails(ErrorInfoSchema)[0];
}
