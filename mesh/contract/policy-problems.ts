import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { ScalarType } from "@bufbuild/protobuf";
import { deprecationProblems } from "./deprecation.ts";
import {
  type BreakerPolicy,
  type GatePolicy,
  MAX_ATTEMPTS,
  type MethodPolicy,
  methodOptions,
  methodPolicy,
  type Overrides,
  serviceOptions,
  servicePolicy,
} from "./policy.ts";

/** Throws one error that names every policy of these services that cannot work, by method, and why. */
export function assertPolicies(services: readonly DescService[], overrides?: Overrides): void {
  const problems = services.flatMap((service) => policyProblems(service, overrides));
  if (problems.length === 0) return;
  const lines = problems.map((problem) => `  - ${problem}`).join("\n");
  throw new Error(`the contract has ${problems.length} call policy problem(s):\n${lines}`);
}

/** A policy that cannot work. */
export interface PolicyProblem {
  /** The service or the method that states it. */
  readonly at: DescService | DescMethod;
  /** The full name of that. */
  readonly name: string;
  readonly what: string;
}

/** What {@link findPolicyProblems} finds, each as "name: what". */
export function policyProblems(service: DescService, overrides?: Overrides): string[] {
  return findPolicyProblems(service, overrides).map(({ name, what }) => `${name}: ${what}`);
}

/** What is wrong with the policies of a service and its methods. Empty if nothing is. */
export function findPolicyProblems(service: DescService, overrides?: Overrides): PolicyProblem[] {
  const { breaker, gate, slowStartMs } = servicePolicy(service, overrides);
  const stated = serviceOptions(service, overrides).breaker;
  const isHalfSlow = (stated?.slowRatio ?? 0) !== 0 && stated?.slowCall === undefined;
  const ofService = [
    ...breakerProblems(breaker),
    ...(isHalfSlow ? ["the breaker has a slow_ratio, but no slow_call to say what is slow"] : []),
    ...gateProblems(gate),
    ...deprecationProblems(service),
    ...(slowStartMs < 0 ? ["the balancer's slow_start is negative"] : []),
  ];
  return [
    ...ofService.map((what) => ({ at: service, name: service.typeName, what })),
    ...service.methods.flatMap((at) => {
      const policy = methodPolicy(at, overrides);
      const found = [...methodProblems(at, policy, overrides), ...windowProblems(policy, breaker)];
      return found.map((what) => ({ at, name: policy.name, what }));
    }),
  ];
}

function* breakerProblems(breaker: BreakerPolicy): Generator<string> {
  const { window, failureRatio, slow, openBaseMs, openMaxMs } = breaker;
  if (!isShare(failureRatio)) yield `the breaker's failure_ratio is ${failureRatio}; ${A_SHARE}`;
  if (slow && !isShare(slow.ratio)) yield `the breaker's slow_ratio is ${slow.ratio}; ${A_SHARE}`;
  if (("timeMs" in window ? window.timeMs : window.calls) <= 0) yield "the breaker's window holds nothing";
  if (openBaseMs <= 0) yield "the breaker's open_base must be longer than nothing";
  if (openMaxMs < openBaseMs) yield "the breaker's open_max is shorter than its open_base";
}

const A_SHARE = "a share is more than 0 and at most 1";

function isShare(value: number): boolean {
  return value > 0 && value <= 1;
}

function* gateProblems(gate: GatePolicy): Generator<string> {
  if (gate.kind === "throttle") {
    if (gate.maxTokens < 0) yield "the retry throttle's max_tokens are negative";
    if (gate.tokenRatio < 0) yield "the retry throttle's token_ratio is negative";
    return;
  }
  if (gate.ratio > 1) yield "a retry budget of more than one retry per call is none";
  if (gate.ratio < 0) yield "the retry budget's ratio is negative";
  if (gate.minPerSecond < 0) yield "the retry budget's min_per_second is negative";
  if (gate.ttlMs <= 0) yield "the retry budget's ttl must be longer than nothing";
}

function* methodProblems(
  method: DescMethod,
  policy: MethodPolicy,
  overrides: Overrides | undefined,
): Generator<string> {
  const { retry, hedge, cache, timeoutMs, maxTimeoutMs, isIdempotent, hasNoSideEffects } = policy;
  const { idempotencyKeyField, redundancy, fallback } = methodOptions(method, overrides);

  const key = method.input.fields.find(({ name }) => name === idempotencyKeyField);
  if (idempotencyKeyField && !(key?.fieldKind === "scalar" && key.scalar === ScalarType.STRING)) {
    yield `its idempotency_key_field "${idempotencyKeyField}" is not a text field of ${method.input.typeName}`;
  }

  if (timeoutMs <= 0) yield "its timeout must be longer than nothing";
  if (policy.idleTimeoutMs <= 0) yield "its idle_timeout must be longer than nothing";
  if (idempotencyKeyField && policy.dedupeTtlMs < maxTimeoutMs) {
    yield `its dedupe_ttl of ${policy.dedupeTtlMs} ms is shorter than its max_timeout of ${maxTimeoutMs} ms`;
  }
  if (method.methodKind === "unary" && timeoutMs > maxTimeoutMs) {
    yield `its timeout of ${timeoutMs} ms is longer than its max_timeout of ${maxTimeoutMs} ms`;
  }

  if (fallback?.timeout && policy.fallbackTimeoutMs <= 0) {
    yield "its fallback's timeout must be longer than nothing";
  }
  if (fallback?.timeout && policy.fallbackTimeoutMs > timeoutMs) {
    yield `its fallback's timeout of ${policy.fallbackTimeoutMs} ms is longer than its timeout of ${timeoutMs} ms`;
  }

  const { maxAttempts, backoff, attemptTimeoutMs } = retry;
  if (maxAttempts > MAX_ATTEMPTS) {
    yield `it asks for ${maxAttempts} attempts; at most ${MAX_ATTEMPTS} are made (gRFC A6)`;
  }
  if (backoff.initialMs < 0) yield "its initial_backoff is negative";
  if (backoff.maxMs < backoff.initialMs) yield "its max_backoff is shorter than its initial_backoff";
  if (backoff.multiplier < 1) yield `its backoff multiplier ${backoff.multiplier} would shorten the waits`;
  if (attemptTimeoutMs !== undefined && attemptTimeoutMs <= 0) {
    yield "its attempt_timeout must be longer than nothing";
  }
  if (attemptTimeoutMs !== undefined && attemptTimeoutMs > timeoutMs) {
    yield `its attempt_timeout of ${attemptTimeoutMs} ms is longer than its timeout of ${timeoutMs} ms`;
  }
  const isRepeatable = isIdempotent || idempotencyKeyField !== "" || policy.notProcessedCodes.length > 0;
  if (redundancy.case === "retry" && redundancy.value.codes.length > 0 && !isRepeatable) {
    yield "it retries codes, but is neither idempotent nor has it an idempotency_key_field or not_processed_codes";
  }

  if (hedge) {
    if (!isIdempotent)
      yield "it is hedged, but a second attempt beside the first is only safe if it is idempotent";
    if (method.methodKind !== "unary") yield "it is hedged, but it is a stream";
    if (hedge.maxAttempts < 2 || hedge.maxAttempts > MAX_ATTEMPTS) {
      yield `it is hedged with ${hedge.maxAttempts} attempts; 2 to ${MAX_ATTEMPTS} can be`;
    }
    if ("fixedMs" in hedge.delay && hedge.delay.fixedMs < 0) yield "its hedging delay is negative";
    if ("fixedMs" in hedge.delay && hedge.delay.fixedMs >= timeoutMs) {
      yield `its hedging delay of ${hedge.delay.fixedMs} ms is not shorter than its timeout of ${timeoutMs} ms`;
    }
    if ("percentile" in hedge.delay && !(hedge.delay.percentile > 0 && hedge.delay.percentile < 1)) {
      yield `its hedging percentile is ${hedge.delay.percentile}; it must be between 0 and 1`;
    }
    if (!isShare(hedge.maxExtraLoad)) {
      yield `its hedges may add ${hedge.maxExtraLoad} of the calls; ${A_SHARE}`;
    }
  }

  if (cache) {
    if (!hasNoSideEffects) yield "it is cached, but only a method with NO_SIDE_EFFECTS can be";
    if (method.methodKind !== "unary") yield "it is cached, but it is a stream";
    if (cache.ttlMs <= 0) yield "its cache has no ttl";
    if (Math.min(cache.staleWhileRevalidateMs, cache.staleIfErrorMs, cache.negativeTtlMs) < 0) {
      yield "its cache keeps something for a negative time";
    }
    if (cache.negativeTtlMs > 1_000) yield "its cache keeps NOT_FOUND for longer than a second";
  }

  if (policy.rateLimit) {
    const { maxCalls, windowMs } = policy.rateLimit;
    if (maxCalls === 0) yield "its rate_limit has no max_calls, so that nobody could call it";
    if (windowMs < 1_000 || windowMs > MAX_RATE_WINDOW_MS)
      yield `its rate_limit has a window of ${windowMs} ms; a second to a day can be`;
  }
}

const MAX_RATE_WINDOW_MS = 86_400_000;

/** A breaker's window must hold more than one attempt, or each failure is forgotten before the next is seen. */
function* windowProblems({ retry }: MethodPolicy, { window }: BreakerPolicy): Generator<string> {
  const { attemptTimeoutMs } = retry;
  if (attemptTimeoutMs === undefined || !("timeMs" in window) || window.timeMs >= 2 * attemptTimeoutMs)
    return;
  yield `the breaker's window of ${window.timeMs} ms is shorter than two attempt_timeouts of ${attemptTimeoutMs} ms`;
}
