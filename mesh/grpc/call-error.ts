import { Code, ConnectError } from "@connectrpc/connect";
import { DeliveryError } from "../core/delivery.ts";
import { ErrorCode } from "../http2/error-code.ts";
import type { HeaderField } from "../http2/hpack/header-field.ts";
import type { StreamError } from "../http2/http2-error.ts";
import { appendFields } from "./metadata.ts";
import { codeFromErrorCode } from "./status.ts";

/**
 * What a call ends with whose stream ended before its time. What became of it stands among the causes, for a policy that
 * decides whether to try again: UNAVAILABLE alone does not say whether it was begun. The deadline is on `performance.now`.
 */
export function toCallError(error: StreamError, deadlineMs = Number.POSITIVE_INFINITY): ConnectError {
  const { delivery, message, code } = error;
  // The server's timer was a moment earlier than ours: grpc-go then resets the stream, without a word of why.
  if (code === ErrorCode.CANCEL && performance.now() + ROUNDED_MS >= deadlineMs) return deadlineExceeded();
  if (delivery === undefined) {
    return new ConnectError(message, codeFromErrorCode(code), undefined, undefined, error);
  }
  const cause = new DeliveryError(delivery, message, error);
  return new ConnectError(message, Code.Unavailable, undefined, undefined, cause);
}

/** By how much less than it has a call may tell its server, and the precision of timers. */
const ROUNDED_MS = 2;

/** What a call ends with that was not answered in time. */
export function deadlineExceeded(): ConnectError {
  return new ConnectError("the operation timed out", Code.DeadlineExceeded);
}

/** What a call ends with whose caller has left. */
export function canceled(reason: unknown): ConnectError {
  return ConnectError.from(reason, Code.Canceled);
}

/** The error with what the headers of its answer said before it, but for those that every answer has. */
export function saidBefore(error: ConnectError, header: readonly HeaderField[]): ConnectError {
  appendFields(
    error.metadata,
    header.filter(({ name }) => !OF_THE_PROTOCOL.test(name)),
  );
  return error;
}

const OF_THE_PROTOCOL = /^(:status|content-type|date|grpc-encoding|grpc-accept-encoding)$/;
