import type { GatePolicy } from "../contract/policy.ts";
import type { Clock } from "../core/clock.ts";

/** Bounds what retries and hedges add to the calls of a target; one for each target and process. */
export interface RetryGate {
  /** Told once for each call, before its first attempt, with the share that it counts: 1, or less for a retried caller. */
  deposit(share?: number): void;
  /** Asked before each retry: true if it may be made. `taken` is how many this call has made. */
  tryWithdraw(taken: number): boolean;
  /** True if `tryWithdraw` would let such a call make a retry now. Takes nothing. */
  mayWithdraw(taken: number): boolean;
  /** Told of each attempt's end. */
  ended(failed: boolean): void;
  /** How many retries could be made now. */
  balance(): number;
}

/** The gate that a policy asks for. */
export function retryGate(policy: GatePolicy, clock: Clock): RetryGate {
  return policy.kind === "budget" ? retryBudget(policy, clock) : retryThrottle(policy);
}

const SLOTS = 10;
// One call may take this part of what is there (Finagle's MaxRequeuesPerReq).
const SHARE_PER_CALL = 0.2;
// Fractions such as 0.2 add up to a hair less or more than a whole number.
const HAIR = 1e-9;

/**
 * Retries as a share of the calls of the last `ttlMs`, and a few more for those who call seldom (Finagle's
 * RetryBudget). It bounds amplification at 1 + ratio + minPerSecond x processes / calls per second, where a number of
 * attempts for each call bounds it at that number.
 */
export function retryBudget(
  { ratio, minPerSecond, ttlMs }: { ratio: number; minPerSecond: number; ttlMs: number },
  clock: Clock,
): RetryGate {
  const slotMs = ttlMs / SLOTS;
  const slots = new Float64Array(SLOTS);
  const always = (minPerSecond * ttlMs) / 1_000;
  let tick = Math.floor(clock.now() / slotMs);

  function present(): number {
    const now = Math.floor(clock.now() / slotMs);
    if (now - tick >= SLOTS) slots.fill(0);
    else for (let t = tick + 1; t <= now; t++) slots[t % SLOTS] = 0;
    tick = Math.max(tick, now);
    return tick % SLOTS;
  }
  function balance(): number {
    present();
    return slots.reduce((sum, each) => sum + each, always);
  }
  function mayWithdraw(taken: number): boolean {
    const there = balance();
    return there >= 1 - HAIR && taken < Math.max(1, Math.ceil(SHARE_PER_CALL * there - HAIR));
  }

  return {
    deposit(share = 1) {
      const slot = present();
      slots[slot] = (slots[slot] ?? 0) + ratio * share;
    },
    tryWithdraw(taken) {
      if (!mayWithdraw(taken)) return false;
      const slot = present();
      slots[slot] = (slots[slot] ?? 0) - 1;
      return true;
    },
    mayWithdraw,
    ended() {},
    balance,
  };
}

/**
 * The retryThrottling of gRFC A6: a failure takes a token, a success puts a part of one back, and there are no retries
 * while the bucket is at most half full.
 */
export function retryThrottle({
  maxTokens,
  tokenRatio,
}: {
  maxTokens: number;
  tokenRatio: number;
}): RetryGate {
  let tokens = maxTokens;
  const mayWithdraw = () => tokens > maxTokens / 2;
  return {
    deposit() {},
    tryWithdraw: mayWithdraw,
    mayWithdraw,
    ended(failed) {
      tokens = failed ? Math.max(0, tokens - 1) : Math.min(maxTokens, tokens + tokenRatio);
    },
    balance: () => Math.max(0, tokens - maxTokens / 2),
  };
}

/** What hedges may add to the calls of each method; one for each target and process. */
export interface HedgeBudgets {
  /** The budget of a method, by its full name: a share of its calls, and nothing for who calls seldom. */
  of(method: string, ratio: number): RetryGate;
  /** How many hedges each method could have now, of those that were called. */
  balances(): Readonly<Record<string, number>>;
}

const HEDGE_TTL_MS = 10_000;

/** Makes budgets as they are asked for. */
export function hedgeBudgets(clock: Clock): HedgeBudgets {
  const budgets = new Map<string, RetryGate>();
  return {
    of(method, ratio) {
      let budget = budgets.get(method);
      if (!budget) {
        budget = retryBudget({ ratio, minPerSecond: 0, ttlMs: HEDGE_TTL_MS }, clock);
        budgets.set(method, budget);
      }
      return budget;
    },
    balances: () => Object.fromEntries([...budgets].map(([method, budget]) => [method, budget.balance()])),
  };
}
