import type { Interceptor } from "@connectrpc/connect";
import { type Clock, MAX_TIMER_MS } from "../core/clock.ts";
import { newId } from "../core/ids.ts";
import { childOf, parseTraceparent } from "../core/trace.ts";
import { iterateAsWork, runWork, type Work } from "../core/work.ts";
import { readTimeoutMs } from "./timeout-header.ts";

/** How long a unary call may take whose caller named no timeout, and at most. */
export interface ServerTimeouts {
  /** Milliseconds. Defaults to 30,000. */
  readonly defaultMs: number;
  /** Milliseconds. Defaults to 60,000. */
  readonly maxMs: number;
}

/** The defaults: those of most published gRPC service configurations. */
export const SERVER_TIMEOUTS: ServerTimeouts = { defaultMs: 30_000, maxMs: 60_000 };

const REQUEST_ID = /^[\x21-\x7e]{1,128}$/;

/**
 * Makes the incoming call the present {@link Work}: its trace, its request id, its deadline. The deadline of a stream
 * is its caller's alone: a watch without one may stay for ever.
 */
export function beginWork(clock: Clock, timeouts: ServerTimeouts): Interceptor {
  return (next) => async (request) => {
    const asked = readTimeoutMs(Object.fromEntries(request.header));
    const isStream = request.stream;
    const timeoutMs = isStream
      ? (asked ?? Number.POSITIVE_INFINITY)
      : Math.min(asked ?? timeouts.defaultMs, timeouts.maxMs);
    const requestId = request.header.get("x-request-id") ?? "";
    const work: Work = {
      trace: childOf(parseTraceparent(request.header.get("traceparent"))),
      requestId: REQUEST_ID.test(requestId) ? requestId : newId(),
      deadlineMs: clock.now() + Math.min(timeoutMs, isStream ? Number.POSITIVE_INFINITY : MAX_TIMER_MS),
      signal: request.signal,
    };
    const response = await runWork(work, () => next(request));
    return response.stream ? { ...response, message: iterateAsWork(work, response.message) } : response;
  };
}
