import type { Clock } from "../core/clock.ts";

/** What a peer may not do without end. */
export type Guard =
  /** RST_STREAM (rapid reset, CVE-2023-44487), beyond as many as there were streams that we ended first. */
  | "RESETS"
  /** Faults that make us end streams (MadeYouReset, CVE-2025-8671), and lists of headers that are too large. */
  | "FAULTS"
  | "SETTINGS"
  /** PING, but for the first one after data or headers of ours: peers measure how far away they are with those. */
  | "PINGS"
  /** DATA that is empty and ends nothing, and padding in place of data. */
  | "EMPTY_DATA"
  /** CONTINUATION (CVE-2024-27316). */
  | "CONTINUATIONS"
  /** PRIORITY, frames of unknown types, and WINDOW_UPDATE. */
  | "OTHER_FRAMES";

/** Why a peer was cut off: a guard, or it does not read, or does not finish what it has begun to say, or breaks the protocol. */
export type CutOff = Guard | "UNREAD" | "SLOW" | "PROTOCOL";

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

  /** False if it was once too often. `earned` are so many more that are allowed, never above the burst. */
  allows(guard: Guard, earned = 0): boolean {
    const { burst, perSecond } = this.#allowances[guard];
    const now = this.#clock.now();
    let bucket = this.#buckets.get(guard);
    if (!bucket) {
      bucket = { tokens: burst, filledMs: now };
      this.#buckets.set(guard, bucket);
    }
    const filled = earned + ((now - bucket.filledMs) / 1_000) * perSecond;
    bucket.tokens = Math.min(burst, bucket.tokens + filled);
    bucket.filledMs = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }
}
