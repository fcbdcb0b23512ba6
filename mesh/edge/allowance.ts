import { LRUCache } from "lru-cache";
import { RateLimiterMemory, type RateLimiterRes } from "rate-limiter-flexible";

/** How much each of many may have in a window. */
export interface AllowanceOptions {
  /** Told to callers, as that of the policy. */
  readonly name: string;
  readonly maxCalls: number;
  /** Begins with the first call of each. */
  readonly windowMs: number;
  /** How many are counted at the same time; who has not called for longest is forgotten. */
  readonly maxKeys: number;
}

/** What is left to one of them. */
export interface Taken {
  readonly isOver: boolean;
  /** True for the first call of a window that is over. */
  readonly isFirstOver: boolean;
  readonly callsLeft: number;
  /** When the window ends, and all of it is there again. */
  readonly resetMs: number;
}

/** Counts calls by key, in the memory of this process. */
export interface Allowance extends AllowanceOptions {
  /** Counts a call. Never rejects. */
  take(key: string): Promise<Taken>;
  /** Counts a call less. */
  giveBack(key: string): Promise<void>;
}

/** Starts to count, with nothing counted yet. */
export function allowance(options: AllowanceOptions): Allowance {
  const { maxCalls, windowMs, maxKeys } = options;
  const limiter = new RateLimiterMemory({ points: maxCalls, duration: windowMs / 1_000, keyPrefix: "" });
  // The limiter keeps every key until its window ends, however many there are.
  const keys = new LRUCache<string, true>({
    max: maxKeys,
    noDisposeOnSet: true,
    dispose: (_, key) => void limiter.delete(key),
  });
  const taken = ({ remainingPoints, msBeforeNext, consumedPoints }: RateLimiterRes): Taken => ({
    isOver: consumedPoints > maxCalls,
    isFirstOver: consumedPoints === maxCalls + 1,
    callsLeft: remainingPoints,
    resetMs: msBeforeNext,
  });
  return {
    ...options,
    take(key) {
      keys.set(key, true);
      return limiter.consume(key).then(taken, taken);
    },
    async giveBack(key) {
      if (keys.has(key)) await limiter.reward(key);
    },
  };
}
