import { type Clock, systemClock } from "../core/clock.ts";

/** Wakes those who wait for a change in this process. A hint: changes of other processes are found by looking. */
export class Changes {
  readonly #waiting = new Map<string, Set<() => void>>();

  /** Says that what `key` names has changed. */
  announce(key: string): void {
    for (const wake of this.#waiting.get(key) ?? []) wake();
  }

  /** Resolves at the next {@link announce} of one of the keys, after `pollMs`, or when the signal aborts. */
  async next(keys: readonly string[], pollMs: number, signal: AbortSignal, clock: Clock): Promise<void> {
    const woken = new AbortController();
    const wake = () => woken.abort();
    for (const key of keys) {
      const waiting = this.#waiting.get(key) ?? new Set();
      this.#waiting.set(key, waiting.add(wake));
    }
    try {
      await clock.sleep(pollMs, AbortSignal.any([woken.signal, signal]));
    } finally {
      for (const key of keys) {
        const waiting = this.#waiting.get(key);
        waiting?.delete(wake);
        if (waiting?.size === 0) this.#waiting.delete(key);
      }
    }
  }
}

/** How {@link watch} looks. */
export interface WatchOptions {
  readonly changes: Changes;
  readonly keys: readonly string[];
  readonly signal: AbortSignal;
  /** How long a change of another process may stay unseen. Milliseconds. Defaults to 250. */
  readonly pollMs?: number;
  readonly clock?: Clock;
}

/**
 * Yields what `read` finds: at once, then each time that `versionOf` says it is another. Ends when the signal aborts.
 */
export async function* watch<T>(
  read: () => Promise<T>,
  versionOf: (value: T) => unknown,
  { changes, keys, signal, pollMs = 250, clock = systemClock }: WatchOptions,
): AsyncGenerator<T> {
  let seen: unknown;
  for (let first = true; !signal.aborted; first = false) {
    // Before reading, so that a change while reading is not missed.
    const changed = changes.next(keys, pollMs, signal, clock);
    const value = await read();
    const version = versionOf(value);
    if (first || version !== seen) yield value;
    seen = version;
    await changed;
  }
}
