import { InvalidArgumentError } from "commander";

const UNITS_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

// What the contract allows.
const MOST_A_SECOND = 10_000;

/** A point in time: a length before now such as 90s, 30m, 1h or 2d, or a date such as 2026-01-31T12:00Z. */
export function parseTime(text: string, now = new Date()): Date {
  const [, count, unit] = /^(\d+)([smhd])$/.exec(text) ?? [];
  const time =
    count && unit
      ? new Date(now.getTime() - Number(count) * UNITS_MS[unit as keyof typeof UNITS_MS])
      : new Date(/^\d{4}-/.test(text) ? text : Number.NaN);
  if (Number.isNaN(time.getTime()))
    throw new InvalidArgumentError("say how long ago (90s, 30m, 1h, 2d), or a date (2026-01-31T12:00Z)");
  return time;
}

/** A length of time such as 90s, 30m, 1h or 2d, in milliseconds. */
export function parseLength(text: string): number {
  const [, count, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  if (!count || !unit) throw new InvalidArgumentError("say how long (90s, 30m, 1h)");
  return Number(count) * UNITS_MS[unit as keyof typeof UNITS_MS];
}

/** A whole number from `least` on. */
export function parseCount(least: number): (text: string) => number {
  return (text) => {
    const count = Number(text);
    if (!/^\d{1,9}$/.test(text) || count < least)
      throw new InvalidArgumentError(`a whole number from ${least} on`);
    return count;
  };
}

/** How many a second, such as 50 or 50/s. */
export function parseRate(text: string): number {
  const [, count = ""] = /^(\d{1,5})(?:\/s)?$/.exec(text) ?? [];
  if (Number(count) < 1 || Number(count) > MOST_A_SECOND)
    throw new InvalidArgumentError(`how many a second, from 1 to ${MOST_A_SECOND} (50, 50/s)`);
  return Number(count);
}

/** Dead letters' numbers, one of several that are given. */
export function parseSeq(text: string, before: readonly bigint[] = []): readonly bigint[] {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new InvalidArgumentError("the number that `dlq ls` shows");
  return [...before, BigInt(text)];
}
