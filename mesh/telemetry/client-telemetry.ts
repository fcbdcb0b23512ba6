import type { Interceptor } from "@connectrpc/connect";
import { attemptTelemetry } from "./attempt-telemetry.ts";
import { type CallRequest, methodName } from "./call-attributes.ts";
import { type CallTelemetryOptions, callTelemetry } from "./call-telemetry.ts";
import { noteOnCall, runningCall } from "./running-call.ts";
import type { Telemetry } from "./telemetry.ts";

/** What the telemetry of a target is told. */
export interface ClientTelemetryOptions extends CallTelemetryOptions {
  /** The address that an attempt goes to. Undefined before one is chosen. */
  readonly endpointOf?: (request: CallRequest) => string | undefined;
}

/** Everything that the policies of a client have to tell: two layers of its stack, and who is told what they do. */
export interface ClientTelemetry {
  /** To be the outermost layer. */
  readonly call: Interceptor;
  /** To be run once for each attempt. */
  readonly attempt: Interceptor;
  /** A call was answered by a `fallback`, or with a `stale` answer. */
  degraded(request: CallRequest, kind: string): void;
  /** A call was not made, because too little time was left. */
  outOfTime(request?: CallRequest): void;
  /** A call was answered from what the caller keeps, or asked together with others. */
  cached(request: CallRequest, how: string): void;
  bulkheadFull(request: CallRequest): void;
  /** There will be another attempt, after a delay. */
  retried(request: CallRequest, how: "retry" | "transparent", delayMs: number): void;
  /** There will be no other attempt, and why. */
  suppressed(request: CallRequest, reason: string): void;
  hedged(request: CallRequest): void;
  hedgeWon(request: CallRequest): void;
  /** A server sent an attempt back: it has too much to do, or says in how many milliseconds it wants to be asked again. */
  pushedBack(request: CallRequest, pushbackMs: number | undefined): void;
  breakerRejected(request: CallRequest): void;
  breakerChanged(endpoint: string, from: string, to: string, reason: string): void;
}

/** The telemetry of the calls to one target. */
export function clientTelemetry(telemetry: Telemetry, options: ClientTelemetryOptions): ClientTelemetry {
  const { target, endpointOf } = options;
  const of = (request: CallRequest) => ({ target, "rpc.method": methodName(request.method) });
  const note = (request: CallRequest, event: string, attributes?: Record<string, string | number>) =>
    noteOnCall(request.contextValues, event, attributes);

  return {
    call: callTelemetry(telemetry, options),
    attempt: attemptTelemetry(telemetry, options),
    degraded(request, kind) {
      telemetry.count("mesh.degraded", { "rpc.method": methodName(request.method), kind });
      note(request, "mesh.degraded", { kind });
    },
    outOfTime(request) {
      telemetry.count("mesh.deadline.rejected", {
        target,
        "rpc.method": request && methodName(request.method),
        side: "client",
      });
    },
    cached: (request, how) => note(request, "mesh.cache", { how }),
    bulkheadFull(request) {
      telemetry.count("mesh.bulkhead.rejected", { target, class: request.stream ? "stream" : "unary" });
      note(request, "mesh.bulkhead.rejected");
    },
    retried(request, how, delayMs) {
      const call = runningCall(request.contextValues);
      if (!call) return;
      if (how === "retry") call.retries++;
      else call.transparentRetries++;
      call.delayMs += delayMs;
      note(request, "mesh.retry", { how, "mesh.retry.delay_ms": delayMs });
    },
    suppressed(request, reason) {
      telemetry.count("mesh.retry.suppressed", { ...of(request), reason });
      note(request, "mesh.retry.suppressed", { reason });
    },
    hedged(request) {
      const call = runningCall(request.contextValues);
      if (call) call.hedges++;
      note(request, "mesh.hedge");
    },
    hedgeWon(request) {
      telemetry.count("mesh.hedge.wins", of(request));
    },
    pushedBack(request, pushbackMs) {
      const endpoint = endpointOf?.(request);
      note(request, "mesh.pushback", {
        ...(pushbackMs !== undefined && { "mesh.pushback_ms": pushbackMs }),
        ...(endpoint !== undefined && { "mesh.endpoint": endpoint }),
      });
    },
    breakerRejected(request) {
      const endpoint = endpointOf?.(request);
      telemetry.count("mesh.breaker.rejected", { target, endpoint });
      note(request, "mesh.breaker.rejected", endpoint === undefined ? {} : { "mesh.endpoint": endpoint });
    },
    breakerChanged(endpoint, from, to, reason) {
      telemetry.count("mesh.breaker.transitions", { target, endpoint, from, to, reason });
    },
  };
}
