import type { Call } from "./peer.ts";
import { quantile } from "./statistics.ts";

/** What is asked of a client: so many calls in flight, with a text of so many bytes, for so long. */
export interface Load {
  readonly inFlight: number;
  readonly bytes: number;
  readonly ms: number;
}

/** What became of it. */
export interface Measured {
  /** Calls that were answered with their own text. */
  readonly calls: number;
  readonly failed: number;
  /** The message of the first that failed. */
  readonly error: string | undefined;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Microseconds of CPU of the whole process. */
  readonly cpuUs: number;
}

/** Calls again as soon as it is answered, in each of its places. */
export async function putLoad(call: Call, { inFlight, bytes, ms }: Load): Promise<Measured> {
  const text = "x".repeat(bytes);
  const times: number[] = [];
  let failed = 0;
  let error: string | undefined;

  // At least once: a process may stand still for as long as a short turn takes.
  async function keepCalling(untilMs: number): Promise<void> {
    let nowMs = performance.now();
    do {
      const startedMs = nowMs;
      try {
        if ((await call(text)) !== text) throw new Error("answered something else");
        nowMs = performance.now();
        times.push(nowMs - startedMs);
      } catch (failure) {
        nowMs = performance.now();
        failed++;
        error ??= String(failure);
      }
    } while (nowMs < untilMs);
  }

  const cpuBefore = process.cpuUsage();
  const startedMs = performance.now();
  await Promise.all(Array.from({ length: inFlight }, () => keepCalling(startedMs + ms)));
  const tookMs = performance.now() - startedMs;
  const { user, system } = process.cpuUsage(cpuBefore);

  const sorted = Float64Array.from(times).sort();
  return {
    calls: times.length,
    failed,
    error,
    perSecond: (times.length / tookMs) * 1_000,
    p50Ms: quantile(sorted, 0.5),
    p99Ms: quantile(sorted, 0.99),
    cpuUs: user + system,
  };
}
