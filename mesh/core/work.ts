import { AsyncLocalStorage } from "node:async_hooks";
import type { Caller } from "./caller.ts";
import type { Carried } from "./carried.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { Trace } from "./trace.ts";

/**
 * The piece of work that code runs for: an incoming call, an event, a step of a saga. It follows every await, so that
 * outgoing calls, published events and log lines know the deadline and the trace without being handed them.
 */
export interface Work {
  readonly trace: Trace;
  /** The `x-request-id` of the call that began it, or one made for it. */
  readonly requestId: string;
  /** When the work must be done, on {@link Clock.now}; Infinity if nobody waits for it. */
  readonly deadlineMs: number;
  /** Aborts when the caller has gone or the deadline has passed. */
  readonly signal?: AbortSignal;
  /** How much the work matters when there is too much to do, as `mesh-criticality` names it; undefined for the default. */
  readonly criticality?: string;
  /** True if the caller has made attempts of the same call before: retries of our own would multiply its retries. */
  readonly isRetry?: boolean;
  /** What it takes along to whatever it calls and publishes; undefined for nothing. */
  readonly carried?: Carried | undefined;
  /** The id of the event or call that caused what this work publishes. */
  readonly causationId?: string;
  /** Who asked for it, once that is proved. Undefined for nobody in particular. */
  caller?: Caller;
  /** How long the result of the call is kept for who repeats it under its idempotency key; undefined if it has none. */
  dedupeTtlMs?: number;
  /** Gives back the place that the work holds among those that run; set by what let it in. Safe to call twice. */
  standAside?: () => void;
}

const storage = new AsyncLocalStorage<Work>();

/** The present piece of work; undefined outside of any. */
export function currentWork(): Work | undefined {
  return storage.getStore();
}

/** How long the present piece of work may still take, in milliseconds; Infinity outside of any. */
export function timeLeftMs(clock: Clock = systemClock): number {
  return (currentWork()?.deadlineMs ?? Number.POSITIVE_INFINITY) - clock.now();
}

/**
 * Says that the present piece of work does nothing from now on but wait for others, and answer. So it does not keep out
 * those that have work to do, and its wait is not taken for the time that the work takes.
 */
export function standAside(): void {
  currentWork()?.standAside?.();
}

/** Runs `fn` as this piece of work. */
export function runWork<T>(work: Work, fn: () => T): T {
  return storage.run(work, fn);
}

/** Takes each value of an iterable as this piece of work: a generator runs where it is asked, not where it was made. */
export async function* iterateAsWork<T>(work: Work, values: AsyncIterable<T>): AsyncGenerator<T> {
  const iterator = values[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await runWork(work, () => iterator.next());
      if (done) return;
      yield value;
    }
  } finally {
    await runWork(work, () => iterator.return?.());
  }
}
