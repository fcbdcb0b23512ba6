import { LRUCache } from "lru-cache";
import { messageOf } from "../core/errors.ts";
import type { Log } from "../core/log.ts";

/** Events of a key that a consumer has not seen, and that its stream does not hold any more. */
export interface LostRange {
  readonly stream: string;
  readonly key: string;
  readonly fromSeq: number;
  readonly toSeq: number;
}

/**
 * Asks the owner of a stream to publish events again. Resolves to false if it does not have them any more; rejects if it
 * cannot be asked now.
 */
export type AskResend = (lost: LostRange) => Promise<boolean>;

// With naks of 5 s, about eight minutes: they come behind all that the stream holds.
const PATIENCE = 100;
const MOST_KEYS = 10_000;

/** Gets back what a consumer has missed, as far as the owner has it. */
export class LostHistory {
  readonly #ask: AskResend;
  readonly #log: Log;
  /** How often the event behind the lost ones had come when they were asked for, by key. */
  readonly #asked = new LRUCache<string, number>({ max: MOST_KEYS });

  constructor(ask: AskResend, log: Log) {
    this.#ask = ask;
    this.#log = log;
  }

  /**
   * Whether the events before one that has come so often can still come. The owner is asked once; what it then promises
   * is waited for some eight minutes.
   */
  async canStillCome(lost: LostRange, deliveries: number): Promise<boolean> {
    const id = JSON.stringify([lost.stream, lost.key, lost.toSeq]);
    const askedAt = this.#asked.get(id);
    if (askedAt !== undefined) return deliveries - askedAt < PATIENCE;
    try {
      const promised = await this.#ask(lost);
      if (!promised) return false;
      this.#asked.set(id, deliveries);
      this.#log.warn({ ...lost }, "events that were missed are sent again");
    } catch (error) {
      this.#log.warn({ ...lost, error: messageOf(error) }, "events that were missed cannot be asked for now");
    }
    return true;
  }
}
