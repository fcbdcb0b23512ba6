/** Where time comes from. Production uses {@link systemClock}; tests hand in one that they move by hand. */
export interface Clock {
  /** Milliseconds that only ever go forward, from an arbitrary start. For deadlines and lengths. */
  now(): number;
  /** The date and time of day. For what people and other machines read. */
  date(): Date;
  /** Resolves after `delayMs`, or at once when the signal aborts. Never rejects. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
  /** Runs `act` after `delayMs`, unless the returned function is called first. */
  after(delayMs: number, act: () => void): () => void;
}

/** The longest delay that a Node timer keeps; a longer one fires at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => new Date(),
  sleep(delayMs, signal) {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, Math.min(delayMs, MAX_TIMER_MS));
      signal?.addEventListener("abort", done, { once: true });
    });
  },
  after(delayMs, act) {
    const timer = setTimeout(act, Math.min(delayMs, MAX_TIMER_MS));
    return () => clearTimeout(timer);
  },
};
