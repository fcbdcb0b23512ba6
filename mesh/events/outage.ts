import type { Clock } from "../core/clock.ts";

/** How an {@link Outage} is noticed and waited for. */
export interface OutageOptions {
  /** Whether an error says that what the work depends on is away. */
  readonly isAway: (error: unknown) => boolean;
  /** Told of each failure of work: whether it is the first of that work, and whether it says that something is away. */
  readonly onFailure: (error: unknown, isFirst: boolean, isAway: boolean) => void;
  readonly clock: Clock;
}

const AWAY_AFTER = 3;
const PROBE_EVERY_MS = 1_000;
const RETRY_MS = { first: 100, most: 2_000 };

/**
 * What many pieces of work depend on, and that may be away. Work that fails is tried again after a while. After three
 * failures in a row that say so it is away for all: then one piece of work tries each second, and the others wait until
 * one succeeds. A circuit breaker, for work that is not refused but kept.
 */
export class Outage {
  readonly #options: OutageOptions;
  readonly #waiting = new Set<() => void>();
  #failures = 0;
  #isProbing = false;

  constructor(options: OutageOptions) {
    this.#options = options;
  }

  /** True while what the work depends on is away. */
  get isOn(): boolean {
    return this.#failures >= AWAY_AFTER;
  }

  /** Resolves when it is over, or the signal aborts. */
  async over(signal: AbortSignal): Promise<void> {
    while (this.isOn && !signal.aborted) await this.#change(signal);
  }

  /** Does the work, again and again until it succeeds. Undefined if the signal aborts first. Never rejects. */
  async withstand<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T | undefined> {
    const { clock, isAway, onFailure } = this.#options;
    for (let failures = 0; !signal.aborted; failures++) {
      const isProbe = await this.#turn(signal);
      if (signal.aborted) {
        if (isProbe) this.#endProbe();
        break;
      }
      try {
        const result = await work();
        this.#failures = 0;
        return result;
      } catch (error) {
        if (signal.aborted) break;
        const away = isAway(error);
        this.#failures = away ? this.#failures + 1 : 0;
        onFailure(error, failures === 0, away);
      } finally {
        if (isProbe) this.#endProbe();
        this.#wake();
      }
      const delayMs = Math.min(RETRY_MS.first * 2 ** failures, RETRY_MS.most) * (0.5 + Math.random() / 2);
      if (!this.isOn) await clock.sleep(delayMs, signal);
    }
    return undefined;
  }

  /** Waits until this work may be tried. True if it is the one that probes. */
  async #turn(signal: AbortSignal): Promise<boolean> {
    while (this.isOn && !signal.aborted) {
      if (!this.#isProbing) {
        this.#isProbing = true;
        await this.#options.clock.sleep(PROBE_EVERY_MS, signal);
        return true;
      }
      await this.#change(signal);
    }
    return false;
  }

  #endProbe(): void {
    this.#isProbing = false;
    this.#wake();
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#waiting.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#waiting.add(done);
      signal.addEventListener("abort", done, { once: true });
    });
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done();
  }
}
