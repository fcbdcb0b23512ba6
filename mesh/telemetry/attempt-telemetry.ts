import type { Interceptor } from "@connectrpc/connect";
import { childOf, formatTraceparent, isSampled, type Trace } from "../core/trace.ts";
import { currentWork } from "../core/work.ts";
import {
  type CallRequest,
  callAttributes,
  describe,
  endSpan,
  methodName,
  perMethod,
} from "./call-attributes.ts";
import type { CallTelemetryOptions } from "./call-telemetry.ts";
import type { Histogram } from "./counts.ts";
import { traceOfCall } from "./running-call.ts";
import { codeName } from "./status.ts";
import type { Telemetry } from "./telemetry.ts";
import { watchCall } from "./watch-call.ts";

/**
 * Tells the called service which trace and request it works for, measures each attempt and records its span. To be run
 * once for each attempt, below whatever repeats them. The headers are sent when telemetry is off too.
 */
export function attemptTelemetry(telemetry: Telemetry, options: CallTelemetryOptions): Interceptor {
  if (!telemetry.isOn) {
    return (next) => (request) => {
      tell(request, traceOfCall(request.contextValues));
      return next(request);
    };
  }
  const { target, attributesOf } = options;
  const { clock, startSpan } = telemetry;
  const series = perMethod((method) => {
    const attributes = { "grpc.method": methodName(method), "grpc.target": target };
    return {
      started: telemetry.counter("grpc.client.attempt.started", attributes),
      durations: [] as Histogram[],
      durationOf: (code: number) =>
        telemetry.histogram("grpc.client.attempt.duration", { ...attributes, "grpc.status": codeName(code) }),
    };
  });

  return (next) => (request) => {
    const { started, durations, durationOf } = series(request.method);
    const startedMs = clock.now();
    started.add();
    const parent = traceOfCall(request.contextValues);
    const isRecorded = startSpan !== undefined && parent !== undefined && isSampled(parent);
    // An attempt that is not recorded needs no id of its own: its parent's will do.
    const trace = isRecorded ? childOf(parent) : parent;
    tell(request, trace);
    const name = `attempt ${methodName(request.method)}`;
    const span = isRecorded && trace && startSpan({ trace, parent, name, kind: "client", startedMs });
    return watchCall(next, request, (code, error) => {
      const endedMs = clock.now();
      const end = { code, error };
      durations[code] ??= durationOf(code);
      durations[code]?.record((endedMs - startedMs) / 1_000);
      if (!span) return;
      const attributes = callAttributes(telemetry, "client", options, request.method, end);
      const more = { "grpc.target": target, ...describe(attributesOf, request, end) };
      endSpan(span, endedMs, { ...attributes, ...more }, error);
    });
  };
}

function tell(request: CallRequest, trace: Trace | undefined): void {
  if (trace) {
    request.header.set("traceparent", formatTraceparent(trace));
    if (trace.state !== undefined) request.header.set("tracestate", trace.state);
  }
  const work = currentWork();
  if (work?.requestId !== undefined) request.header.set("x-request-id", work.requestId);
  if (!work?.carried) return;
  for (const [name, value] of Object.entries(work.carried)) request.header.set(name, value);
}
