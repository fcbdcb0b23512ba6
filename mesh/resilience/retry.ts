import { toBinary } from "@bufbuild/protobuf";
import type { Interceptor, StreamResponse, UnaryResponse } from "@connectrpc/connect";
import { policies as readPolicies } from "../contract/policy.ts";
import { systemClock } from "../core/clock.ts";
import { backoffMs } from "./backoff.ts";
import {
  type Attempt,
  asAttempt,
  asPartOf,
  type Call,
  callOf,
  type Request,
  type Surroundings,
} from "./call.ts";
import { mayRetry } from "./classify.ts";
import { MIN_TIMEOUT_MS } from "./deadline.ts";
import { peekFirst, repeatable } from "./first-message.ts";
import type { Latencies } from "./latency.ts";
import { type Outcome, outcomeOf } from "./outcome.ts";
import { callerLeft } from "./rejection.ts";
import { type RetryGate, retryGate } from "./retry-gate.ts";
import { transparentRetries } from "./transparent.ts";

/** Why a call that could have been retried was not. */
export type Suppressed = "ATTEMPTS" | "BUDGET" | "TIME" | "SIZE";

/** What retries are bounded by, and who is told. */
export interface RetryOptions extends Surroundings {
  /** The gate of the target that a request goes to. Defaults to one for each service, by its contract. */
  readonly gateOf?: (request: Request) => RetryGate;
  readonly latenciesOf?: (request: Request) => Latencies | undefined;
  /** The share with which a call counts towards the gate: less than 1 for the call of a caller that itself retries. */
  readonly share?: () => number;
  readonly onRetry?: (request: Request, how: "retry" | "transparent", delayMs: number) => void;
  readonly onSuppressed?: (request: Request, why: Suppressed) => void;
}

const MAX_RETRIED_BYTES = 256 * 1024;

/**
 * Makes another attempt after one that failed, if the method, the outcome, the time that is left and the budget allow
 * it (gRFC A6). What never left goes elsewhere without being counted; what was refused unread, once. Unary calls, and
 * server streams up to their first message; other streams only if none of their messages was read.
 */
export function retry(options: RetryOptions = {}): Interceptor {
  const { clock = systemClock, random = Math.random, latenciesOf, share, onRetry, onSuppressed } = options;
  const gateOf = options.gateOf ?? gatesByService(options);

  return (next) => async (original) => {
    const call = callOf(original, options);
    if (call.policy.hedge && !original.stream) return next(original);
    const known = asPartOf(original, call);
    const { request, mayRepeat } = known.stream
      ? await repeatable(known)
      : { request: known, mayRepeat: always };
    const { maxAttempts } = call.policy.retry;
    const gate = gateOf(request);
    gate.deposit(share?.());

    let number = 1;
    let taken = 0;
    const transparentMsOf = transparentRetries();
    // Of the present sequence of waits, which begins anew after a pushback.
    let failures = 0;

    for (;;) {
      // Cut short for the sake of another that nobody pays for, an attempt would fail for nothing.
      const attempt = { number, isLast: number >= maxAttempts || !gate.mayWithdraw(taken) };
      let outcome: Outcome;
      let failure: unknown;
      try {
        const response = await makeAttempt(next, request, attempt);
        gate.ended(false);
        return response;
      } catch (error) {
        failure = error;
        outcome = outcomeOf(error);
      }

      const transparentMs = transparentMsOf(outcome);
      if (transparentMs === undefined && isHeldAgainst(outcome, call)) gate.ended(true);
      if (request.signal.aborted || !mayRepeat()) throw failure;

      const leftMs = call.deadlineMs - clock.now();
      let delayMs: number;
      if (transparentMs !== undefined) {
        delayMs = transparentMs;
        if (leftMs - delayMs < MIN_TIMEOUT_MS) {
          onSuppressed?.(request, "TIME");
          throw failure;
        }
        onRetry?.(request, "transparent", delayMs);
      } else {
        if (!mayRetry(outcome, { policy: call.policy, hasKey: call.isRepeatable })) throw failure;
        failures++;
        delayMs = outcome.pushbackMs ?? backoffMs(call.policy.retry.backoff, failures, random);
        if (outcome.pushbackMs === undefined) delayMs = Math.max(delayMs, outcome.retryDelayMs ?? 0);
        else failures = 0;

        const usefulMs = Math.max(MIN_TIMEOUT_MS, latenciesOf?.(request)?.percentile(0.5) ?? 0);
        const why: Suppressed | undefined =
          number >= maxAttempts
            ? "ATTEMPTS"
            : leftMs - delayMs < usefulMs
              ? "TIME"
              : isLarge(request)
                ? "SIZE"
                : gate.tryWithdraw(taken)
                  ? undefined
                  : "BUDGET";
        if (why) {
          if (maxAttempts > 1 && why !== "SIZE") markRetryExhausted(failure);
          onSuppressed?.(request, why);
          throw failure;
        }
        taken++;
        number++;
        onRetry?.(request, "retry", delayMs);
      }
      if (delayMs > 0) await clock.sleep(delayMs, request.signal);
      if (request.signal.aborted) throw callerLeft(request.signal.reason);
    }
  };
}

const exhausted = new WeakSet<object>();

/** True if this error is the last of a call whose retries are used up, so that its callers need not begin theirs. */
export function isRetryExhausted(error: unknown): boolean {
  return typeof error === "object" && error !== null && exhausted.has(error);
}

/** Remembers of an error that another attempt is of no use now. */
export function markRetryExhausted(error: unknown): void {
  if (typeof error === "object" && error !== null) exhausted.add(error);
}

/**
 * True if a throttle counts the outcome as a failure: one that is retried, or that asks not to be (gRFC A6). A server
 * that refuses a bad request works.
 */
export function isHeldAgainst(outcome: Outcome, { policy }: Call): boolean {
  const { pushbackMs } = outcome;
  return (pushbackMs !== undefined && pushbackMs < 0) || mayRetry(outcome, { policy, hasKey: true });
}

function makeAttempt(
  next: Parameters<Interceptor>[0],
  request: Request,
  attempt: Attempt,
): Promise<UnaryResponse | StreamResponse> {
  const answer = next(asAttempt(request, attempt));
  if (request.method.methodKind !== "server_streaming") return answer;
  return answer.then<UnaryResponse | StreamResponse>((response) =>
    response.stream ? peekFirst(response) : response,
  );
}

const always = () => true;

/** A large request would have to be kept; asked for only when it is to be sent again. */
function isLarge(request: Request): boolean {
  return !request.stream && toBinary(request.method.input, request.message).byteLength > MAX_RETRIED_BYTES;
}

function gatesByService({
  clock = systemClock,
  policies = readPolicies(),
}: Surroundings): (request: Request) => RetryGate {
  const gates = new Map<string, RetryGate>();
  return ({ service }) => {
    let gate = gates.get(service.typeName);
    if (!gate) {
      gate = retryGate(policies.service(service).gate, clock);
      gates.set(service.typeName, gate);
    }
    return gate;
  };
}
