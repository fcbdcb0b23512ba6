import type { BackoffPolicy } from "../contract/policy.ts";

/**
 * How long to wait before the attempt that follows the `failed`th one, in milliseconds: exponential with a cap, spread
 * by chance (full and equal jitter as in AWS's "Exponential Backoff and Jitter"; `a6` is gRFC A6's 80 to 120 percent).
 */
export function backoffMs(policy: BackoffPolicy, failed: number, random: () => number): number {
  const { initialMs, maxMs, multiplier, jitter } = policy;
  const waitMs = Math.min(maxMs, initialMs * multiplier ** (failed - 1));
  switch (jitter) {
    case "none":
      return waitMs;
    case "equal":
      return waitMs / 2 + (random() * waitMs) / 2;
    case "full":
      return random() * waitMs;
    case "a6":
      return waitMs * (0.8 + 0.4 * random());
  }
}
