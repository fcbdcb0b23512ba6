import type { DescService } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { type BalancerName, type MethodPolicy, methodPolicy, servicePolicy } from "./policy.ts";

/** A gRPC service config, as JSON (grpc/service_config.proto). */
export interface ServiceConfig {
  readonly loadBalancingConfig: readonly Readonly<Record<string, object>>[];
  readonly methodConfig: readonly MethodConfig[];
  readonly retryThrottling: { readonly maxTokens: number; readonly tokenRatio: number };
  readonly healthCheckConfig: { readonly serviceName: string };
}

interface MethodConfig {
  readonly name: readonly { readonly service: string; readonly method: string }[];
  readonly timeout?: string;
  readonly retryPolicy?: object;
  readonly hedgingPolicy?: object;
}

// The first that a client knows is taken.
const BALANCERS: Readonly<Record<BalancerName, readonly string[]>> = {
  p2c_peak_ewma: ["least_request_experimental", "round_robin"],
  least_request: ["least_request_experimental", "round_robin"],
  round_robin: ["round_robin"],
  pick_first: ["pick_first"],
};

/**
 * What a gRPC client in any language can keep of a service's policies. It knows less than the mesh: retries of a method
 * that is not idempotent are left out, since it cannot tell what was not processed or whether the request has its key;
 * budgets become the token bucket of gRFC A6; there are no breakers, caches or criticality.
 */
export function serviceConfig(service: DescService): ServiceConfig {
  const { gate, balancer } = servicePolicy(service);
  return {
    loadBalancingConfig: BALANCERS[balancer].map((name) => ({ [name]: {} })),
    methodConfig: service.methods.map((method) => methodConfig(methodPolicy(method))),
    retryThrottling:
      gate.kind === "throttle"
        ? { maxTokens: gate.maxTokens, tokenRatio: gate.tokenRatio }
        : { maxTokens: 10, tokenRatio: gate.ratio },
    healthCheckConfig: { serviceName: service.typeName },
  };
}

function methodConfig(policy: MethodPolicy): MethodConfig {
  const [service = "", method = ""] = policy.name.split("/");
  const { timeoutMs, retry, hedge, isIdempotent, notProcessedCodes } = policy;
  const repeatable = isIdempotent ? (retry.codes ?? [Code.Unavailable]) : notProcessedCodes;
  const { initialMs, maxMs, multiplier } = retry.backoff;
  return {
    name: [{ service, method }],
    ...(timeoutMs !== Number.POSITIVE_INFINITY && { timeout: seconds(timeoutMs) }),
    ...(retry.maxAttempts > 1 &&
      repeatable.length > 0 && {
        retryPolicy: {
          maxAttempts: retry.maxAttempts,
          initialBackoff: seconds(initialMs),
          maxBackoff: seconds(maxMs),
          backoffMultiplier: multiplier,
          retryableStatusCodes: repeatable.map(codeName),
        },
      }),
    ...(hedge && {
      hedgingPolicy: {
        maxAttempts: hedge.maxAttempts,
        // A percentile needs what only the mesh observes; a late hedge is better than none.
        hedgingDelay: seconds("fixedMs" in hedge.delay ? hedge.delay.fixedMs : timeoutMs / 2),
        nonFatalStatusCodes: ["UNAVAILABLE"],
      },
    }),
  };
}

/** Seconds with all nine digits: some clients read "1.5s" as one second and five nanoseconds. */
function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(9)}s`;
}

/** A code as gRPC writes it: DEADLINE_EXCEEDED. */
function codeName(code: Code): string {
  const name = code === Code.Canceled ? "Cancelled" : Code[code];
  return name.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}
