import type { DescMethod } from "@bufbuild/protobuf";
import { createContextKey, type Interceptor } from "@connectrpc/connect";
import type { Policies, ServicePolicy } from "../../contract/policy.ts";
import type { Clock } from "../../core/clock.ts";
import { currentWork, timeLeftMs } from "../../core/work.ts";
import { type AnswerCache, answerCache } from "../../resilience/answer-cache.ts";
import { type Bulkhead, bulkhead } from "../../resilience/bulkhead.ts";
import type { Request } from "../../resilience/call.ts";
import { type Latencies, latencies } from "../../resilience/latency.ts";
import { type HedgeBudgets, hedgeBudgets, type RetryGate, retryGate } from "../../resilience/retry-gate.ts";
import type { CallObserver } from "./call-observer.ts";
import type { Endpoints } from "./endpoints.ts";

/** What the calls to a target share: the endpoints, and what bounds and remembers. */
export interface TargetState {
  readonly name: string;
  readonly surroundings: {
    readonly clock: Clock;
    readonly random: () => number;
    readonly policies: Policies;
    readonly identity?: Interceptor;
  };
  readonly endpoints: Endpoints;
  readonly cache: AnswerCache;
  readonly observer: CallObserver;
  readonly gateOf: () => RetryGate;
  readonly hedgeBudgets: HedgeBudgets;
  readonly bulkheadOf: (request: Request) => Bulkhead;
  readonly latenciesOf: (request: Request) => Latencies;
  /** The bulkhead of unary calls. */
  readonly calls: () => Bulkhead;
  /**
   * True while hedges would only slow the target down: this process has many calls there, or a server has just sent one
   * back. How full a server is it does not say, so before that only the budgets bound hedges.
   */
  readonly isBusy: () => boolean;
  readonly askedMs: (request: Request) => number | undefined;
  readonly callerLeftMs: () => number;
  readonly share: () => number;
  readonly refresh: () => void;
  /** A server has too much to do, or wants to be left alone: nothing is added to its load for a second. */
  notePushback(): void;
  /** Begins anew with other policies. */
  apply(policy: ServicePolicy): void;
}

/** What a target's state is made of. */
export interface TargetStateOptions {
  readonly name: string;
  readonly surroundings: TargetState["surroundings"];
  readonly policy: ServicePolicy;
  readonly endpoints: Endpoints;
  readonly observer: CallObserver;
  readonly refresh: () => void;
}

/** The timeout that a caller named for one call, in milliseconds. */
export const askedKey = createContextKey<number | undefined>(undefined);

// Layers that retry multiply: what already is a retry may add half as many.
const SHARE_OF_A_RETRY = 0.5;
const BUSY_SHARE = 0.7;
const BUSY_AFTER_PUSHBACK_MS = 1_000;

/** Makes what the calls to a target share. */
export function targetState(options: TargetStateOptions): TargetState {
  const { name, surroundings, endpoints, observer, refresh } = options;
  const { clock } = surroundings;
  const byMethod = new Map<DescMethod, Latencies>();
  let gate: RetryGate;
  let budgets: HedgeBudgets;
  let calls: Bulkhead;
  let streams: Bulkhead;
  let pushbackMs = Number.NEGATIVE_INFINITY;

  function apply(policy: ServicePolicy): void {
    gate = retryGate(policy.gate, clock);
    budgets = hedgeBudgets(clock);
    calls = bulkhead(policy.bulkhead, clock);
    streams = bulkhead(policy.bulkhead, clock);
  }
  apply(options.policy);

  return {
    name,
    surroundings,
    endpoints,
    observer,
    refresh,
    apply,
    cache: answerCache({ ...surroundings, onAnswer: observer.cached }),
    gateOf: () => gate,
    hedgeBudgets: { of: (method, ratio) => budgets.of(method, ratio), balances: () => budgets.balances() },
    calls: () => calls,
    // A stream may last for hours; it must not hold a place that calls need.
    bulkheadOf: (request) => (request.stream ? streams : calls),
    latenciesOf({ method }) {
      let found = byMethod.get(method);
      if (!found) {
        found = latencies(clock);
        byMethod.set(method, found);
      }
      return found;
    },
    isBusy: () =>
      calls.inflight > BUSY_SHARE * calls.limit || clock.now() - pushbackMs < BUSY_AFTER_PUSHBACK_MS,
    notePushback() {
      pushbackMs = clock.now();
    },
    askedMs: (request) => request.contextValues.get(askedKey),
    callerLeftMs: () => timeLeftMs(clock),
    share: () => (currentWork()?.isRetry ? SHARE_OF_A_RETRY : 1),
  };
}
