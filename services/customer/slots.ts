/** Runs work when a slot is free. */
export type Slots = <T>(work: () => Promise<T>, signal?: AbortSignal) => Promise<T>;

/** How many may run and wait. */
export interface SlotsOptions {
  readonly maxRunning: number;
  readonly maxWaiting: number;
  /** The error of what can neither run nor wait. */
  readonly full: () => Error;
}

/**
 * Runs so many at a time and lets so many wait, first come first served; more are refused at once. One whose signal
 * aborts leaves the queue and rejects with its reason.
 */
export function slots({ maxRunning, maxWaiting, full }: SlotsOptions): Slots {
  let running = 0;
  const waiting = new Set<() => void>();

  async function take(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    if (running < maxRunning) {
      running++;
      return;
    }
    if (waiting.size >= maxWaiting) throw full();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = () => {
      waiting.delete(resolve);
      reject(signal?.reason);
    };
    waiting.add(resolve);
    signal?.addEventListener("abort", leave, { once: true });
    await promise.finally(() => signal?.removeEventListener("abort", leave));
  }

  /** Hands the slot to who has waited longest, so that none who comes now overtakes. */
  function give(): void {
    const [next] = waiting;
    if (!next) {
      running--;
      return;
    }
    waiting.delete(next);
    next();
  }

  return async (work, signal) => {
    await take(signal);
    try {
      return await work();
    } finally {
      give();
    }
  };
}
