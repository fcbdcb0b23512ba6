import type { Interceptor } from "@connectrpc/connect";
import { childOf, isSampled } from "../core/trace.ts";
import { currentWork } from "../core/work.ts";
import {
  type CallPeer,
  type CallRequest,
  callAttributes,
  callDurations,
  type DescribeCall,
  describe,
  endSpan,
  methodName,
} from "./call-attributes.ts";
import { type RunningCall, setRunningCall } from "./running-call.ts";
import type { Telemetry } from "./telemetry.ts";
import { watchCall } from "./watch-call.ts";

/** What the telemetry of outgoing calls is told. */
export interface CallTelemetryOptions extends CallPeer {
  /** The target, as the settings name it. */
  readonly target: string;
  /** Says more about the call, or the attempt, in its span. */
  readonly attributesOf?: DescribeCall;
}

/**
 * Measures each outgoing call, its attempts together, and records its span. To be the outermost layer of a client. A
 * stream lasts until its last message, its error, or until its reader leaves.
 */
export function callTelemetry(telemetry: Telemetry, options: CallTelemetryOptions): Interceptor {
  if (!telemetry.isOn) return (next) => next;
  const { clock } = telemetry;
  const durations = callDurations(telemetry, "client", options);
  return (next) => (request) => {
    const startedMs = clock.now();
    const call = beginCall(telemetry, request, startedMs);
    setRunningCall(request.contextValues, call);
    return watchCall(next, request, (code, error) => {
      const endedMs = clock.now();
      const end = { code, error };
      durations(request.method, end).record((endedMs - startedMs) / 1_000);
      recordRetries(telemetry, options.target, request, call);
      if (!call.span) return;
      const attributes = callAttributes(telemetry, "client", options, request.method, end);
      const more = describe(options.attributesOf, request, end);
      endSpan(call.span, endedMs, { ...attributes, ...more }, error);
    });
  };
}

function beginCall(telemetry: Telemetry, request: CallRequest, startedMs: number): RunningCall {
  const counts = { retries: 0, transparentRetries: 0, hedges: 0, delayMs: 0 };
  const parent = currentWork()?.trace;
  const { startSpan } = telemetry;
  if (!startSpan || (parent && !isSampled(parent))) return { trace: undefined, span: undefined, ...counts };
  const trace = childOf(parent, parent ? undefined : telemetry.sampler);
  // A trace that is not sampled is told to the server all the same, so that it does not decide once more.
  if (!isSampled(trace)) return { trace, span: undefined, ...counts };
  const name = methodName(request.method);
  return { trace, span: startSpan({ trace, parent, name, kind: "client", startedMs }), ...counts };
}

/** A call without retries is not counted among those that had any (A96). */
function recordRetries(telemetry: Telemetry, target: string, request: CallRequest, call: RunningCall): void {
  const { retries, transparentRetries, hedges, delayMs } = call;
  if (retries + transparentRetries + hedges === 0) return;
  const attributes = { "grpc.method": methodName(request.method), "grpc.target": target };
  if (retries > 0) telemetry.record("grpc.client.call.retries", retries, attributes);
  if (transparentRetries > 0) {
    telemetry.record("grpc.client.call.transparent_retries", transparentRetries, attributes);
  }
  if (hedges > 0) telemetry.record("grpc.client.call.hedges", hedges, attributes);
  if (delayMs > 0) telemetry.record("grpc.client.call.retry_delay", delayMs / 1_000, attributes);
}
