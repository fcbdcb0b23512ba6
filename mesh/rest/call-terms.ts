import { readTimeoutMs } from "../resilience/timeout-header.ts";
import { arrivingHeaders } from "../rpc/call-headers.ts";
import { invalidRequest } from "../rpc/server/validation.ts";

/** How a call is made that came by HTTP. */
export interface CallTerms {
  /** What goes along. */
  readonly header: Headers;
  /** How long its caller waits, in milliseconds; undefined if the caller does not say. */
  readonly timeoutMs: number | undefined;
}

/** The header that says how long a caller waits, in seconds. */
const TIMEOUT = "request-timeout";

/**
 * Reads the terms of a call: which headers go along, and its timeout, of `request-timeout` in seconds or of `grpc-timeout`.
 * Throws INVALID_REQUEST for a timeout that is none.
 */
export function callTerms(request: Headers): CallTerms {
  return { header: arrivingHeaders(request), timeoutMs: secondsOf(request) ?? readTimeoutMs(request) };
}

function secondsOf(request: Headers): number | undefined {
  const text = request.get(TIMEOUT);
  if (text === null) return undefined;
  if (/^\d{1,7}(\.\d{1,9})?$/.test(text)) return Number(text) * 1000;
  throw invalidRequest([{ field: TIMEOUT, description: `is a number of seconds, not "${text}"` }]);
}
