import type { Code } from "@connectrpc/connect";

/** A call of a simulated client. */
export interface CallRecord {
  /** The number of its client. */
  readonly client: number;
  readonly startedMs: number;
  readonly tookMs: number;
  /** Undefined if it was answered well. */
  readonly failure: { readonly code: Code; readonly reason: string | undefined } | undefined;
}

/** What became of some calls. */
export interface Tally {
  readonly calls: number;
  readonly ok: number;
  /** The part that was answered well; 1 if there was no call. */
  readonly okShare: number;
  /** A percentile such as 0.99 of how long those took that were answered well, in milliseconds. */
  percentile(p: number): number;
}

/** Sums up calls. */
export function tally(calls: readonly CallRecord[]): Tally {
  const good = calls.filter(({ failure }) => !failure);
  let sorted: Float64Array | undefined;
  return {
    calls: calls.length,
    ok: good.length,
    okShare: calls.length === 0 ? 1 : good.length / calls.length,
    percentile(p) {
      sorted ??= Float64Array.from(good, ({ tookMs }) => tookMs).sort();
      return sorted[Math.min(sorted.length - 1, Math.ceil(p * sorted.length) - 1)] ?? Number.NaN;
    },
  };
}

/** The calls that began in this time. */
export function between(calls: readonly CallRecord[], fromMs: number, toMs: number): readonly CallRecord[] {
  return calls.filter(({ startedMs }) => startedMs >= fromMs && startedMs < toMs);
}

/** Answers per second that came in this time. */
export function goodput(calls: readonly CallRecord[], fromMs: number, toMs: number): number {
  const good = calls.filter(({ failure, startedMs, tookMs }) => {
    const endedMs = startedMs + tookMs;
    return !failure && endedMs >= fromMs && endedMs < toMs;
  });
  return (good.length * 1_000) / (toMs - fromMs);
}

/** Why calls failed, and how many did. */
export function failures(calls: readonly CallRecord[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { failure } of calls) {
    if (!failure) continue;
    const name = failure.reason ?? `code ${failure.code}`;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

const WINDOW_MS = 1_000;
const GOOD_WINDOWS = 5;
const GOOD_SHARE = 0.99;

/**
 * How long after `fromMs` the first of five windows of a second begins, one after the other, in each of which 99 % of
 * the calls are answered well; Infinity if there are none before `toMs`. Milliseconds.
 */
export function recovery(calls: readonly CallRecord[], fromMs: number, toMs: number): number {
  const windows = Math.floor((toMs - fromMs) / WINDOW_MS);
  const counts = Array.from({ length: windows }, () => ({ calls: 0, ok: 0 }));
  for (const { startedMs, failure } of calls) {
    const window = counts[Math.floor((startedMs - fromMs) / WINDOW_MS)];
    if (!window) continue;
    window.calls++;
    if (!failure) window.ok++;
  }
  let inARow = 0;
  for (const [i, { calls, ok }] of counts.entries()) {
    inARow = ok >= GOOD_SHARE * calls ? inARow + 1 : 0;
    if (inARow === GOOD_WINDOWS) return (i + 1 - GOOD_WINDOWS) * WINDOW_MS;
  }
  return Number.POSITIVE_INFINITY;
}
