import type { Clock } from "../core/clock.ts";

/** What a peer may not do without end. */
export type Guard =
  /** RST_STREAM (rapid reset, CVE-2023-44487). */
  | "RESETS"
  /** Faults that make us end streams (MadeYouReset, CVE-2025-8671). */
  | "FAULTS"
  | "SETTINGS"
  | "PINGS"
  /** DATA that is empty and ends nothing, and padding in place of data. */
  | "EMPTY_DATA"
  /** CONTINUATION (CVE-2024-27316). */
  | "CONTINUATIONS"
  /** PRIORITY, frames of unknown types, and WINDOW_UPDATE. */
  | "OTHER_FRAMES";

/** How much of something is allowed. */
export interface Allowance {
  /** At once. */
  readonly burst: number;
  /** And then in each second. */
  readonly perSecond: number;
}

/**
 * Far above what peers do that mean well: a client that ends a hundred calls a second by itself, for as long as it likes, is
 * let be, and so is one that ends a thousand at once.
 */
export const ALLOWANCES: Readonly<Record<Guard, Allowance>> = {
  RESETS: { burst: 1_000, perSecond: 100 },
  FAULTS: { burst: 100, perSecond: 10 },
  SETTINGS: { burst: 50, perSecond: 5 },
  PINGS: { burst: 200, perSecond: 20 },
  EMPTY_DATA: { burst: 200, perSecond: 50 },
  CONTINUATIONS: { burst: 200, perSecond: 50 },
  OTHER_FRAMES: { burst: 20_000, perSecond: 20_000 },
};

/** Counts what one peer does (a token bucket for each guard; they are full at first). */
export class Guards {
  readonly #allowances: Readonly<Record<Guard, Allowance>>;
  readonly #clock: Clock;
  readonly #buckets = new Map<Guard, { tokens: number; filledMs: number }>();

  constructor(allowances: Partial<Record<Guard, Allowance>>, clock: Clock) {
    this.#allowances = { ...ALLOWANCES, ...allowances };
    this.#clock = clock;
  }

  /** False if it was once too often. */
  allows(guard: Guard): boolean {
    const { burst, perSecond } = this.#allowances[guard];
    const now = this.#clock.now();
    let bucket = this.#buckets.get(guard);
    if (!bucket) {
      bucket = { tokens: burst, filledMs: now };
      this.#buckets.set(guard, bucket);
    }
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.filledMs) / 1_000) * perSecond);
    bucket.filledMs = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }
}
