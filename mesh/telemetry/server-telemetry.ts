import type { DescMethod } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { isSampled, parseTraceparent } from "../core/trace.ts";
import { currentWork } from "../core/work.ts";
import {
  type CallEnd,
  type CalledMethod,
  type CallPeer,
  callAttributes,
  callDurations,
  type DescribeCall,
  describe,
  endSpan,
  grpcMethodName,
  methodName,
  perMethod,
  type RpcSystem,
} from "./call-attributes.ts";
import type { Attributes } from "./instruments.ts";
import type { OpenSpan } from "./spans.ts";
import { codeOf } from "./status.ts";
import type { Telemetry } from "./telemetry.ts";
import { watchCall } from "./watch-call.ts";

/** What the telemetry of incoming calls is told. */
export interface ServerTelemetryOptions extends Omit<CallPeer, "system"> {
  /** Says more about the call in its span. */
  readonly attributesOf?: DescribeCall;
}

/** A call that no interceptor sees, because it was refused by its headers alone. */
export interface RefusedCall {
  /** Undefined if the server does not know it. */
  readonly method?: DescMethod | undefined;
  readonly header: ReadHeader;
  readonly error: unknown;
}

type ReadHeader = (name: string) => string | null | undefined;

/**
 * Measures each incoming call and records its span, which is the present work. To stand below what makes the call the
 * present work, and above all that may refuse it. Health and reflection are measured, and have no spans.
 */
export function serverTelemetry(telemetry: Telemetry, options: ServerTelemetryOptions = {}): Interceptor {
  if (!telemetry.isOn) return (next) => next;
  const begin = incomingCalls(telemetry, options);
  return (next) => (request) => {
    const ended = begin(request.method, (name) => request.header.get(name));
    return watchCall(next, request, (code, error) => {
      const end = { code, error };
      ended(end, () => describe(options.attributesOf, request, end));
    });
  };
}

/** Measures a call that was refused before it reached the interceptors. To be called as the work that it would have been. */
export function refusalTelemetry(
  telemetry: Telemetry,
  options: ServerTelemetryOptions = {},
): (refused: RefusedCall) => void {
  if (!telemetry.isOn) return () => {};
  const begin = incomingCalls(telemetry, options);
  return ({ method, header, error }) => begin(method, header)({ code: codeOf(error), error });
}

/** Begins to measure an incoming call; what it returns is told how the call ended, and asks what else there is to say. */
function incomingCalls(telemetry: Telemetry, options: ServerTelemetryOptions) {
  const { clock } = telemetry;
  const systems = {
    grpc: systemOf(telemetry, { ...options, system: "grpc" }),
    connectrpc: systemOf(telemetry, { ...options, system: "connectrpc" }),
  };
  const begun = perMethod((method) =>
    telemetry.counter("grpc.server.call.started", { "grpc.method": grpcMethodName(method) }),
  );
  const remaining = perMethod((method) =>
    telemetry.histogram("mesh.deadline.remaining_at_ingress", { "rpc.method": methodName(method) }),
  );

  return (method: CalledMethod, header: ReadHeader) => {
    const startedMs = clock.now();
    begun(method).add();
    const { durations, attributesOf } = systems[spoken(header)];
    const leftMs = (currentWork()?.deadlineMs ?? Number.POSITIVE_INFINITY) - startedMs;
    if (leftMs !== Number.POSITIVE_INFINITY) remaining(method).record(Math.max(leftMs, 0) / 1_000);
    const span = beginSpan(telemetry, method, header, startedMs);
    return (end: CallEnd, more?: () => Attributes | undefined) => {
      const endedMs = clock.now();
      durations(method, end).record((endedMs - startedMs) / 1_000);
      if (span) endSpan(span, endedMs, { ...attributesOf(method, end), ...more?.() }, end.error);
    };
  };
}

function systemOf(telemetry: Telemetry, peer: CallPeer) {
  return {
    durations: callDurations(telemetry, "server", peer),
    attributesOf: (method: CalledMethod, end: CallEnd) =>
      callAttributes(telemetry, "server", peer, method, end),
  };
}

/** gRPC and gRPC-Web say so in their content type; a Connect call that is an HTTP GET has none. */
function spoken(header: ReadHeader): RpcSystem {
  return header("content-type")?.startsWith("application/grpc") ? "grpc" : "connectrpc";
}

function beginSpan(
  telemetry: Telemetry,
  method: CalledMethod,
  header: ReadHeader,
  startedMs: number,
): OpenSpan | undefined {
  const trace = currentWork()?.trace;
  if (!telemetry.startSpan || !trace || !isSampled(trace)) return undefined;
  // Probes and lists of services begin a trace every few seconds, and nobody looks at one.
  if (method?.parent.typeName.startsWith("grpc.")) return undefined;
  const parent = parseTraceparent(header("traceparent"), header("tracestate"));
  return telemetry.startSpan({
    trace,
    parent,
    isRemote: true,
    name: methodName(method),
    kind: "server",
    startedMs,
  });
}
