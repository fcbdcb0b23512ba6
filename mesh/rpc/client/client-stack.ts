import type { Interceptor } from "@connectrpc/connect";
import { attemptTimeout } from "../../resilience/attempt.ts";
import { circuitBreaker } from "../../resilience/circuit-breaker.ts";
import { totalDeadline } from "../../resilience/deadline.ts";
import { type FallbackOptions, fallback } from "../../resilience/fallback.ts";
import { hedge } from "../../resilience/hedge.ts";
import { limitCalls } from "../../resilience/limit-calls.ts";
import { normaliseOutcomes } from "../../resilience/normalise.ts";
import { retry } from "../../resilience/retry.ts";
import { endpointOf, pickEndpoint } from "./pick-endpoint.ts";
import type { TargetState } from "./target-state.ts";

/** What stands in for the service, by the caller's own code. */
export type OwnFallback = Pick<FallbackOptions, "service" | "fallbacks">;

/**
 * What every outgoing call passes through. The first is the outermost; from the pick on each runs once per attempt.
 *
 *     telemetry(fallback(deadline(cache(bulkhead(retry(hedge(
 *       attempt telemetry(pick(breaker(attempt timeout(normalise(transport))))))))))))
 */
export function clientStack(target: TargetState, own: OwnFallback = {}): Interceptor[] {
  const { surroundings, latenciesOf, endpoints, cache, observer } = target;
  return [
    // Above all, so that what is measured is what the caller waits for and gets.
    observer.call,
    // Above what keeps answers, so that what was answered to one is not given to another.
    ...(surroundings.identity ? [surroundings.identity] : []),
    // Above the deadline, so that it sees the final outcome, and has time for an answer when there is none for a call.
    fallback({
      ...surroundings,
      ...own,
      cache,
      callerLeftMs: target.callerLeftMs,
      onDegraded: observer.degraded,
    }),
    // Above whatever waits or repeats: attempts, waits and queues spend from one deadline.
    totalDeadline({
      ...surroundings,
      askedMs: target.askedMs,
      callerLeftMs: target.callerLeftMs,
      onRejected: observer.outOfTime,
    }),
    // Above the bulkhead and the budget, so that an answer that is there costs neither.
    cache.interceptor,
    // Above retry, so that a call which waits for its next attempt holds one place, not several.
    limitCalls({ ...surroundings, bulkheadOf: target.bulkheadOf, onRejected: observer.bulkheadFull }),
    // One of the two, by the method's policy; each attempt below may go to another endpoint.
    retry({
      ...surroundings,
      latenciesOf,
      gateOf: target.gateOf,
      share: target.share,
      onRetry: observer.retried,
      onSuppressed: observer.suppressed,
    }),
    hedge({
      ...surroundings,
      latenciesOf,
      isBusy: target.isBusy,
      gateOf: target.gateOf,
      budgets: target.hedgeBudgets,
      share: target.share,
      onRetry: observer.retried,
      onHedge: observer.hedged,
      onHedgeWon: observer.hedgeWon,
    }),

    // Above the pick, so that an attempt which finds no endpoint is seen too.
    observer.attempt,
    // Above the breaker, because there is one for each endpoint; it passes over those that are open.
    pickEndpoint(endpoints, {
      clock: surroundings.clock,
      onNotSent: target.refresh,
      onPushback(request, pushbackMs) {
        target.notePushback();
        observer.pushedBack(request, pushbackMs);
      },
    }),
    // Above the attempt's timeout, so that a timeout counts as a failure of its endpoint.
    circuitBreaker({
      ...surroundings,
      latenciesOf,
      breakerOf: (request) => endpointOf(request).breaker,
      isForced: (request) => endpointOf(request).isForced,
      onRejected: observer.breakerRejected,
    }),
    // Next to the wire, so that what it tells the server is what is left when it leaves.
    attemptTimeout({ ...surroundings, latenciesOf }),
    // Below every policy, so that each sees one set of outcomes, whatever the transport.
    normaliseOutcomes(),
  ];
}
