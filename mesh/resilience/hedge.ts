import type { Interceptor, UnaryRequest, UnaryResponse } from "@connectrpc/connect";
import { systemClock } from "../core/clock.ts";
import { asAttempt, asPartOf, callOf, type Request, type Surroundings } from "./call.ts";
import { mayRetry } from "./classify.ts";
import { MIN_TIMEOUT_MS } from "./deadline.ts";
import type { Latencies } from "./latency.ts";
import { type Outcome, outcomeOf } from "./outcome.ts";
import { callerLeft, HEDGE_LOST } from "./rejection.ts";
import { isHeldAgainst, markRetryExhausted } from "./retry.ts";
import { type HedgeBudgets, hedgeBudgets, type RetryGate } from "./retry-gate.ts";
import { transparentRetries } from "./transparent.ts";

/** What hedges are bounded by, and who is told. */
export interface HedgeOptions extends Surroundings {
  /** The latencies of a method; without them only a fixed delay hedges. */
  readonly latenciesOf?: (request: Request) => Latencies | undefined;
  /** True while the target is so busy that more calls would only slow it down. */
  readonly isBusy?: (request: Request) => boolean;
  /** The gate of the target that a request goes to, which hedges share with retries. Defaults to none. */
  readonly gateOf?: (request: Request) => RetryGate;
  /** What hedges may add to each method besides. Defaults to budgets of this interceptor's own. */
  readonly budgets?: HedgeBudgets;
  /** The share with which a call counts towards both: less than 1 for the call of a caller that itself retries. */
  readonly share?: () => number;
  readonly onRetry?: (request: Request, how: "transparent", delayMs: number) => void;
  readonly onHedge?: (request: Request) => void;
  readonly onHedgeWon?: (request: Request) => void;
}

const MIN_DELAY_MS = 1;

/**
 * Makes another attempt beside one that is slow, for methods whose policy says `hedge`; the first good answer wins and
 * the others are given up (gRFC A6; Dean and Barroso, "The Tail at Scale"). Each hedge is asked of a budget of its
 * method and of the target's gate, which grpc-js and others leave out: without them hedging multiplies the load just when
 * the target is slow. What never left or was refused unread is made good as it is without hedging, and costs neither.
 */
export function hedge(options: HedgeOptions = {}): Interceptor {
  const { clock = systemClock, latenciesOf, isBusy = () => false, gateOf, share } = options;
  const { budgets = hedgeBudgets(clock), onRetry, onHedge, onHedgeWon } = options;

  return (next) => (original) => {
    const call = callOf(original, options);
    const { hedge: policy, name } = call.policy;
    if (!policy || original.stream) return next(original);
    const request: UnaryRequest = asPartOf(original, call);
    const budget = budgets.of(name, policy.maxExtraLoad);
    const gate = gateOf?.(request);
    const counts = share?.();
    budget.deposit(counts);
    gate?.deposit(counts);

    const { delay, maxAttempts } = policy;
    const delayMs = "fixedMs" in delay ? delay.fixedMs : latenciesOf?.(request)?.percentile(delay.percentile);

    return new Promise<UnaryResponse>((resolve, reject) => {
      const active = new Set<AbortController>();
      const transparentMsOf = transparentRetries();
      const parent = request.signal;
      let sent = 0;
      let isOver = false;
      let lastError: unknown;
      let cancelTimer = () => {};

      const settle = (act: () => void, why: unknown) => {
        if (isOver) return;
        isOver = true;
        cancelTimer();
        parent.removeEventListener("abort", leave);
        act();
        for (const controller of active) controller.abort(why);
      };
      const leave = () => settle(() => reject(callerLeft(parent.reason)), parent.reason);
      const plan = (inMs: number | undefined) => {
        cancelTimer();
        if (inMs !== undefined && sent < maxAttempts)
          cancelTimer = clock.after(Math.max(MIN_DELAY_MS, inMs), tryHedge);
      };
      // One that stands in for an attempt that failed runs beside nothing, and slows nothing down.
      const mayHedge = () =>
        sent < maxAttempts && (active.size === 0 || !isBusy(request)) && mayWithdraw(sent - 1);
      // Asked of both before it is taken from either.
      const mayWithdraw = (taken: number) =>
        budget.mayWithdraw(taken) &&
        (gate === undefined || gate.tryWithdraw(taken)) &&
        budget.tryWithdraw(taken);

      function tryHedge(): void {
        if (isOver) return;
        if (mayHedge()) {
          send();
          plan(delayMs);
        } else if (active.size === 0) {
          giveUp(lastError);
        }
      }

      function send(): void {
        sent++;
        const number = sent;
        if (number > 1) onHedge?.(request);
        const controller = new AbortController();
        active.add(controller);
        attempt(number, controller.signal).then(
          (response) => {
            active.delete(controller);
            if (number > 1 && !isOver) onHedgeWon?.(request);
            gate?.ended(false);
            settle(() => resolve(response), HEDGE_LOST);
          },
          (error) => {
            active.delete(controller);
            if (!isOver) failed(error, outcomeOf(error));
          },
        );
      }

      async function attempt(number: number, signal: AbortSignal): Promise<UnaryResponse> {
        for (;;) {
          // Attempts that run side by side write their own headers.
          const header = number === 1 ? request.header : new Headers(request.header);
          try {
            const sent = asAttempt({ ...request, header, signal }, { number, isLast: true });
            return (await next(sent)) as UnaryResponse;
          } catch (error) {
            const delayMs = transparentMsOf(outcomeOf(error));
            if (delayMs === undefined || call.deadlineMs - clock.now() - delayMs < MIN_TIMEOUT_MS)
              throw error;
            onRetry?.(request, "transparent", delayMs);
            if (delayMs > 0) await clock.sleep(delayMs, signal);
            if (signal.aborted) throw signal.reason;
          }
        }
      }

      function failed(error: unknown, outcome: Outcome): void {
        lastError = error;
        if (isHeldAgainst(outcome, call)) gate?.ended(true);
        const { kind, pushbackMs = 0 } = outcome;
        const leftMs = call.deadlineMs - clock.now();
        if (kind !== "LOCAL_REJECT" && isFatal(outcome)) {
          settle(() => reject(error), HEDGE_LOST);
          return;
        }
        if (kind === "LOCAL_REJECT" || pushbackMs < 0 || leftMs - pushbackMs < MIN_TIMEOUT_MS) {
          // What is under way may still win; only no more are sent.
          sent = maxAttempts;
          cancelTimer();
        } else if (outcome.pushbackMs !== undefined) {
          plan(pushbackMs);
          if (sent < maxAttempts) return;
        } else if (mayHedge()) {
          send();
          plan(delayMs);
        }
        if (active.size === 0) giveUp(error);
      }

      function giveUp(error: unknown): void {
        if (outcomeOf(error).kind !== "LOCAL_REJECT") markRetryExhausted(error);
        settle(() => reject(error), undefined);
      }

      /** True if the code is one that another attempt cannot better, whenever the server wants to be asked again. */
      function isFatal(outcome: Outcome): boolean {
        const pushbackMs = outcome.pushbackMs === undefined ? undefined : Math.max(0, outcome.pushbackMs);
        return !mayRetry({ ...outcome, pushbackMs }, { policy: call.policy, hasKey: call.isRepeatable });
      }

      parent.addEventListener("abort", leave, { once: true });
      if (parent.aborted) leave();
      else {
        send();
        plan(delayMs);
      }
    });
  };
}
