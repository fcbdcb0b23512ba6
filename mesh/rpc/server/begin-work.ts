import type { DescMethod } from "@bufbuild/protobuf";
import { createContextKey, type Interceptor } from "@connectrpc/connect";
import { CRITICALITIES, type Criticality, type Policies } from "../../contract/policy.ts";
import { readCarried } from "../../core/carried.ts";
import { type Clock, MAX_TIMER_MS } from "../../core/clock.ts";
import { childOf, parseTraceparent, type Sampler } from "../../core/trace.ts";
import { iterateAsWork, runWork, type Work } from "../../core/work.ts";
import { readTimeoutMs } from "../../resilience/timeout-header.ts";
import { CRITICALITY_HEADER, PREVIOUS_ATTEMPTS_HEADER, type ReadHeader } from "../call-headers.ts";
import { CallWork } from "./call-work.ts";
import type { ArrivingCall } from "./gate.ts";

/** How long a unary call may take whose caller named no timeout, and at most. */
export interface ServerTimeouts {
  /** Milliseconds. Defaults to 30,000. */
  readonly defaultMs: number;
  /** Milliseconds. Defaults to what the policy of each method says, which is 60,000 unless it says otherwise. */
  readonly maxMs: number;
}

/** The defaults: those of most published gRPC service configurations. */
export const SERVER_TIMEOUTS: ServerTimeouts = { defaultMs: 30_000, maxMs: Number.POSITIVE_INFINITY };

/** What reading a call needs. */
export interface ReadCallOptions {
  readonly clock: Clock;
  readonly timeouts: ServerTimeouts;
  readonly policies: Policies;
  /** Says which traces are recorded. Defaults to those that the caller records. */
  readonly sampler?: Sampler;
}

const REQUEST_ID = /^[\x21-\x7e]{1,128}$/;

/**
 * Reads what steers a call. The deadline of a stream is its caller's alone: a watch without one may stay for ever. A
 * criticality that does not exist counts as none: then the method's own holds.
 */
export function readCall(method: DescMethod, header: ReadHeader, options: ReadCallOptions): ArrivingCall {
  const { clock, timeouts, policies } = options;
  const policy = policies.method(method);
  const asked = readTimeoutMs({ get: header });
  const named = header(CRITICALITY_HEADER);
  const timeoutMs =
    method.methodKind === "unary"
      ? Math.min(asked ?? timeouts.defaultMs, timeouts.maxMs, policy.maxTimeoutMs, MAX_TIMER_MS)
      : (asked ?? Number.POSITIVE_INFINITY);
  return {
    method,
    criticality: isCriticality(named) ? named : policy.criticality,
    deadlineMs: clock.now() + timeoutMs,
  };
}

function isCriticality(name: string | null | undefined): name is Criticality {
  return (CRITICALITIES as readonly unknown[]).includes(name);
}

/** The work that a call is: with its trace, its request id and what it carries too. */
export function workOf(call: ArrivingCall, header: ReadHeader, sampler?: Sampler): CallWork {
  const requestId = header("x-request-id") ?? "";
  const parent = header("traceparent");
  const trace = childOf(parent ? parseTraceparent(parent, header("tracestate")) : undefined, sampler);
  return new CallWork(
    trace,
    // A caller who names no request has one for each trace.
    REQUEST_ID.test(requestId) ? requestId : trace.traceId,
    call.deadlineMs,
    call.criticality,
    Number(header(PREVIOUS_ATTEMPTS_HEADER) ?? 0) > 0,
    readCarried(header),
  );
}

/** The work of a call whose headers were read before Connect saw it. */
export const ARRIVED = createContextKey<CallWork | undefined>(undefined);

/**
 * Makes the incoming call the present {@link Work}: its trace, its request id, its deadline, its criticality. The work
 * of a stream ends when its caller goes, that of a unary call when `raceDeadline` says so.
 */
export function beginWork(options: ReadCallOptions): Interceptor {
  const read = (request: Parameters<ReturnType<Interceptor>>[0]) => {
    const header: ReadHeader = (name) => request.header.get(name);
    return workOf(readCall(request.method, header, options), header, options.sampler);
  };
  return (next) => (request) => {
    const work = request.contextValues.get(ARRIVED) ?? read(request);
    if (!request.stream) return runWork(work, () => next(request));
    const { trace, requestId, deadlineMs, criticality, isRetry, carried } = work;
    const { signal } = request;
    const stream: Work = { trace, requestId, deadlineMs, criticality, isRetry, carried, signal };
    return runWork(stream, () => next(request)).then((response) =>
      response.stream ? { ...response, message: iterateAsWork(stream, response.message) } : response,
    );
  };
}

/** The call that is the present work, as the gates below see it. */
export function arrivingCall(method: DescMethod, work: Work): ArrivingCall {
  return {
    method,
    criticality: (work.criticality ?? "CRITICAL") as Criticality,
    deadlineMs: work.deadlineMs,
  };
}
