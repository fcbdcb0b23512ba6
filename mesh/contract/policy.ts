import { type DescMethod, type DescService, getOption } from "@bufbuild/protobuf";
import {
  type Duration,
  durationMs,
  MethodOptions_IdempotencyLevel as Idempotency,
} from "@bufbuild/protobuf/wkt";
import type { Code } from "@connectrpc/connect";
import {
  Balancing,
  type Breaker,
  type Cache,
  Criticality as CriticalityLevel,
  type Hedge,
  Jitter as JitterKind,
  type MethodPolicy as MethodOptions,
  MethodPolicySchema,
  method as methodOption,
  type RateLimit,
  type Retry,
  type RetryBudget,
  type ServicePolicy as ServiceOptions,
  ServicePolicySchema,
  service as serviceOption,
} from "../../gen/mesh/policy/v1/policy_pb.ts";
import { overlay } from "./overlay.ts";

/** How much a call matters when there is too much to do, from what is refused last to what is refused first. */
export const CRITICALITIES = ["CRITICAL_PLUS", "CRITICAL", "SHEDDABLE_PLUS", "SHEDDABLE"] as const;

/** How much a call matters when there is too much to do. */
export type Criticality = (typeof CRITICALITIES)[number];

/** How chance spreads waits. */
export type Jitter = "none" | "equal" | "full" | "a6";

/** An algorithm of load balancing. */
export type BalancerName = "p2c_peak_ewma" | "least_request" | "round_robin" | "pick_first";

/** How a wait grows from one attempt to the next. */
export interface BackoffPolicy {
  readonly initialMs: number;
  readonly maxMs: number;
  readonly multiplier: number;
  readonly jitter: Jitter;
}

/** Another attempt after one that failed. */
export interface RetryPolicy {
  /** Attempts in all; 1 means no retry. */
  readonly maxAttempts: number;
  /** The codes that are retried; undefined means those of the default table. */
  readonly codes: readonly Code[] | undefined;
  readonly backoff: BackoffPolicy;
  /** How long one attempt may take; undefined derives it from what is observed. */
  readonly attemptTimeoutMs: number | undefined;
}

/** Another attempt beside one that is slow. */
export interface HedgePolicy {
  readonly maxAttempts: number;
  /** A length, or a percentile of the latencies observed. */
  readonly delay: { readonly fixedMs: number } | { readonly percentile: number };
  readonly maxExtraLoad: number;
}

/** Answers kept by the caller. */
export interface CachePolicy {
  readonly ttlMs: number;
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  readonly negativeTtlMs: number;
  /** Lower case, `authorization` among them. */
  readonly varyHeaders: readonly string[];
}

/** How often one caller from outside may call. */
export interface RateLimitPolicy {
  readonly maxCalls: number;
  /** Begins with the first call. */
  readonly windowMs: number;
}

/** What the contract says of one method, with the defaults filled in. */
export interface MethodPolicy {
  /** `package.Service/Method`. */
  readonly name: string;
  readonly isIdempotent: boolean;
  readonly hasNoSideEffects: boolean;
  readonly criticality: Criticality;
  /** The request's field, by its name in TypeScript, that makes the method safe to repeat if it is not empty. */
  readonly keyField: string | undefined;
  readonly notProcessedCodes: readonly Code[];
  readonly dedupeTtlMs: number;
  /** Infinity for a stream that states none. */
  readonly timeoutMs: number;
  readonly maxTimeoutMs: number;
  /** For streams. */
  readonly idleTimeoutMs: number;
  readonly retry: RetryPolicy;
  /** In place of retry. */
  readonly hedge: HedgePolicy | undefined;
  readonly cache: CachePolicy | undefined;
  readonly allowsFallback: boolean;
  /** How long the caller's own answer may take. */
  readonly fallbackTimeoutMs: number;
  /** Beside what holds for all calls of a caller together. */
  readonly rateLimit: RateLimitPolicy | undefined;
}

/** How many retries the calls to a service may add. */
export type GatePolicy =
  | { readonly kind: "budget"; readonly ratio: number; readonly minPerSecond: number; readonly ttlMs: number }
  | { readonly kind: "throttle"; readonly maxTokens: number; readonly tokenRatio: number };

/** When an endpoint is left alone. */
export interface BreakerPolicy {
  /** Failures in a row that open it; Infinity for never. */
  readonly consecutive: number;
  readonly failureRatio: number;
  readonly minCalls: number;
  readonly window: { readonly timeMs: number } | { readonly calls: number };
  readonly openBaseMs: number;
  readonly openMaxMs: number;
  readonly openJitter: number;
  readonly probes: number;
  /** The share of slow calls that opens it, and from where on a call is slow. */
  readonly slow: { readonly ratio: number; readonly callMs: number } | undefined;
}

/** What the contract says of a service as a whole, with the defaults filled in. */
export interface ServicePolicy {
  readonly gate: GatePolicy;
  readonly breaker: BreakerPolicy;
  readonly balancer: BalancerName;
  readonly slowStartMs: number;
  readonly bulkhead: { readonly maxConcurrent: number; readonly maxQueue: number };
}

/** What a deployment sets over the contract, as messages by full name. */
export interface Overrides {
  readonly services: Readonly<Record<string, ServiceOptions>>;
  readonly methods: Readonly<Record<string, MethodOptions>>;
}

/** The most attempts that a call makes, whatever it is told (gRFC A6). */
export const MAX_ATTEMPTS = 5;

/** No overrides. */
export const NO_OVERRIDES: Overrides = { services: {}, methods: {} };

/** The full name of a method: `package.Service/Method`. */
export function methodName(method: DescMethod): string {
  return `${method.parent.typeName}/${method.name}`;
}

/** What the contract, the deployment and one call say of a method, the nearer over the farther, before defaults. */
export function methodOptions(
  method: DescMethod,
  overrides: Overrides = NO_OVERRIDES,
  call?: MethodOptions,
): MethodOptions {
  const { parent } = method;
  return overlay(MethodPolicySchema, [
    getOption(parent, serviceOption).defaults,
    getOption(method, methodOption),
    overrides.services[parent.typeName]?.defaults,
    overrides.methods[methodName(method)],
    call,
  ]);
}

/** What the contract and the deployment say of a service, before defaults. */
export function serviceOptions(service: DescService, overrides: Overrides = NO_OVERRIDES): ServiceOptions {
  return overlay(ServicePolicySchema, [
    getOption(service, serviceOption),
    overrides.services[service.typeName],
  ]);
}

/** Reads the policy of a method. Says nothing about whether it makes sense: `policyProblems` does. */
export function methodPolicy(method: DescMethod, overrides?: Overrides, call?: MethodOptions): MethodPolicy {
  const stated = methodOptions(method, overrides, call);
  const isStream = method.methodKind !== "unary";
  const { idempotency } = method;
  const { redundancy } = stated;
  const keyField = method.input.fields.find((field) => field.name === stated.idempotencyKeyField);
  return {
    name: methodName(method),
    isIdempotent: idempotency === Idempotency.IDEMPOTENT || idempotency === Idempotency.NO_SIDE_EFFECTS,
    hasNoSideEffects: idempotency === Idempotency.NO_SIDE_EFFECTS,
    criticality: CRITICALITIES[(stated.criticality || CriticalityLevel.CRITICAL) - 1] ?? "CRITICAL",
    keyField: keyField?.localName,
    notProcessedCodes: stated.notProcessedCodes as readonly number[] as readonly Code[],
    dedupeTtlMs: ms(stated.dedupeTtl, 86_400_000),
    timeoutMs: ms(stated.timeout, isStream ? Number.POSITIVE_INFINITY : 10_000),
    maxTimeoutMs: ms(stated.maxTimeout, 60_000),
    idleTimeoutMs: ms(stated.idleTimeout, stated.timeout ? Number.POSITIVE_INFINITY : 60_000),
    retry: retryPolicy(
      redundancy.case === "retry" ? redundancy.value : undefined,
      redundancy.case === "hedge",
    ),
    hedge: redundancy.case === "hedge" ? hedgePolicy(redundancy.value) : undefined,
    cache: stated.cache && cachePolicy(stated.cache),
    allowsFallback: stated.fallback?.allowed ?? false,
    fallbackTimeoutMs: ms(stated.fallback?.timeout, 50),
    rateLimit: stated.rateLimit && rateLimitPolicy(stated.rateLimit),
  };
}

/** Reads the policy of a service. Says nothing about whether it makes sense: `policyProblems` does. */
export function servicePolicy(service: DescService, overrides?: Overrides): ServicePolicy {
  const { gate, breaker, balancer, bulkhead } = serviceOptions(service, overrides);
  return {
    gate:
      gate.case === "retryThrottle"
        ? {
            kind: "throttle",
            maxTokens: gate.value.maxTokens || 10,
            tokenRatio: tidy(gate.value.tokenRatio) || 0.1,
          }
        : budgetPolicy(gate.value),
    breaker: breakerPolicy(breaker),
    balancer: BALANCERS[balancer?.policy || Balancing.P2C_PEAK_EWMA] ?? "p2c_peak_ewma",
    slowStartMs: ms(balancer?.slowStart, 10_000),
    bulkhead: { maxConcurrent: bulkhead?.maxConcurrent || 256, maxQueue: bulkhead?.maxQueue ?? 0 },
  };
}

const BALANCERS: Readonly<Record<number, BalancerName>> = {
  [Balancing.P2C_PEAK_EWMA]: "p2c_peak_ewma",
  [Balancing.LEAST_REQUEST]: "least_request",
  [Balancing.ROUND_ROBIN]: "round_robin",
  [Balancing.PICK_FIRST]: "pick_first",
};

const JITTERS: Readonly<Record<number, Jitter>> = {
  [JitterKind.NONE]: "none",
  [JitterKind.EQUAL]: "equal",
  [JitterKind.FULL]: "full",
  [JitterKind.A6]: "a6",
};

function retryPolicy(retry: Retry | undefined, isHedged: boolean): RetryPolicy {
  const initialMs = ms(retry?.initialBackoff, 25);
  return {
    maxAttempts: isHedged ? 1 : retry?.maxAttempts || 3,
    codes: retry?.codes.length ? (retry.codes as readonly number[] as readonly Code[]) : undefined,
    backoff: {
      initialMs,
      maxMs: ms(retry?.maxBackoff, Math.max(250, initialMs)),
      multiplier: tidy(retry?.multiplier) || 2,
      jitter: JITTERS[retry?.jitter || JitterKind.FULL] ?? "full",
    },
    attemptTimeoutMs: retry?.attemptTimeout && durationMs(retry.attemptTimeout),
  };
}

function hedgePolicy({ maxAttempts, delay, maxExtraLoad }: Hedge): HedgePolicy {
  return {
    maxAttempts: maxAttempts || 2,
    delay:
      delay.case === "fixed"
        ? { fixedMs: durationMs(delay.value) }
        : { percentile: delay.case === "percentile" ? tidy(delay.value) : 0.99 },
    maxExtraLoad: tidy(maxExtraLoad) || 0.05,
  };
}

function cachePolicy({
  ttl,
  staleWhileRevalidate,
  staleIfError,
  negativeTtl,
  varyHeaders,
}: Cache): CachePolicy {
  return {
    ttlMs: ms(ttl, 0),
    staleWhileRevalidateMs: ms(staleWhileRevalidate, 0),
    staleIfErrorMs: ms(staleIfError, 0),
    negativeTtlMs: ms(negativeTtl, 0),
    // Whoever asks is always part of the question.
    varyHeaders: [...new Set(["authorization", ...varyHeaders.map((name) => name.toLowerCase())])],
  };
}

function rateLimitPolicy({ maxCalls, window }: RateLimit): RateLimitPolicy {
  return { maxCalls, windowMs: ms(window, 60_000) };
}

function budgetPolicy(budget: RetryBudget | undefined): GatePolicy {
  return {
    kind: "budget",
    ratio: tidy(budget?.ratio) || 0.2,
    minPerSecond: tidy(budget?.minPerSecond) || 0.1,
    ttlMs: ms(budget?.ttl, 10_000),
  };
}

function breakerPolicy(stated: Breaker | undefined): BreakerPolicy {
  const { window, slowCall } = stated ?? {};
  const slowRatio = tidy(stated?.slowRatio);
  const calls = window?.case === "windowCalls" ? window.value : undefined;
  const openBaseMs = ms(stated?.openBase, 1_000);
  const jitter = stated?.openJitter ?? 0;
  return {
    consecutive: stated?.consecutive || (calls === undefined ? 5 : Number.POSITIVE_INFINITY),
    failureRatio: tidy(stated?.failureRatio) || 0.5,
    minCalls: Math.min(stated?.minCalls || 20, calls ?? Number.POSITIVE_INFINITY),
    window:
      calls === undefined
        ? { timeMs: window?.case === "windowTime" ? durationMs(window.value) : 10_000 }
        : { calls },
    openBaseMs,
    openMaxMs: ms(stated?.openMax, Math.max(60_000, openBaseMs)),
    openJitter: jitter < 0 ? 0 : tidy(jitter) || 0.5,
    probes: stated?.probes || 1,
    slow: slowRatio > 0 && slowCall ? { ratio: slowRatio, callMs: durationMs(slowCall) } : undefined,
  };
}

function ms(duration: Duration | undefined, fallbackMs: number): number {
  return duration === undefined ? fallbackMs : durationMs(duration);
}

/** A float of the contract as it was written: 0.2, not 0.20000000298023224. */
function tidy(float: number | undefined): number {
  return float === undefined ? 0 : Number(float.toPrecision(7));
}

/** What one call asks for may tune its method's policy. What is a fact about the method stays, and bounds the rest. */
function tunedBy(call: MethodPolicy, method: MethodPolicy): MethodPolicy {
  const { name, isIdempotent, hasNoSideEffects, keyField, notProcessedCodes, dedupeTtlMs, criticality } =
    method;
  const facts = { name, isIdempotent, hasNoSideEffects, keyField, notProcessedCodes, dedupeTtlMs };
  const isLower = CRITICALITIES.indexOf(call.criticality) > CRITICALITIES.indexOf(criticality);
  return {
    ...call,
    ...facts,
    criticality: isLower ? call.criticality : criticality,
    retry: { ...call.retry, maxAttempts: Math.min(MAX_ATTEMPTS, call.retry.maxAttempts) },
    hedge:
      call.hedge && isIdempotent
        ? { ...call.hedge, maxAttempts: Math.min(MAX_ATTEMPTS, call.hedge.maxAttempts) }
        : undefined,
    cache: hasNoSideEffects ? call.cache : undefined,
    allowsFallback: method.allowsFallback,
    fallbackTimeoutMs: method.fallbackTimeoutMs,
    rateLimit: method.rateLimit,
  };
}

/** The policies of a process, read once each. */
export interface Policies {
  /** A method's, with what one call asks for laid over it as far as the facts about the method allow. */
  method(method: DescMethod, call?: MethodOptions): MethodPolicy;
  service(service: DescService): ServicePolicy;
  /** Puts other overrides in place. */
  use(overrides: Overrides): void;
}

/** Reads policies as they are asked for. */
export function policies(overrides: Overrides = NO_OVERRIDES): Policies {
  let present = overrides;
  let methods = new WeakMap<DescMethod, MethodPolicy>();
  let services = new WeakMap<DescService, ServicePolicy>();
  return {
    method(method, call) {
      if (call) return tunedBy(methodPolicy(method, present, call), methodPolicy(method, present));
      let policy = methods.get(method);
      if (!policy) {
        policy = methodPolicy(method, present);
        methods.set(method, policy);
      }
      return policy;
    },
    service(service) {
      let policy = services.get(service);
      if (!policy) {
        policy = servicePolicy(service, present);
        services.set(service, policy);
      }
      return policy;
    },
    use(next) {
      present = next;
      methods = new WeakMap();
      services = new WeakMap();
    },
  };
}
