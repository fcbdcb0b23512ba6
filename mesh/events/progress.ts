import type { Tx } from "../store/transaction.ts";
import type { DeadReason } from "./dead-letter.ts";

/**
 * How a consumer keeps track of one message, by the ordering of its subscription. All that changes it is done in the
 * transaction of the effect, so that both become durable together.
 */
export interface Progress {
  /** Passes the message if it may be handled now. `baseline` begins its key with it, which only a verdict allows. */
  pass(tx: Tx, baseline?: "baseline"): Promise<boolean>;
  /** Tells why the message did not pass. */
  judge(): Promise<Judgement>;
  /** Goes past the message as a dead letter. False if it is not its turn: then it is no dead letter yet. */
  bury(tx: Tx, reason: DeadReason): Promise<boolean>;
  /** Lets the messages behind this one, which failed, know when to come again. */
  postpone(delayMs: number): Promise<void>;
}

/** Why a message did not pass. */
export interface Judgement {
  readonly verdict: Verdict;
  /** When the one that it waits for is tried again, if that is known. */
  readonly retryAt?: Date | undefined;
  /** The number of the event that its key waits for, if it waits for one. */
  readonly nextSeq?: number;
  /** The dead event that it waits for, if it is blocked and that is known. */
  readonly blockedBy?: string | undefined;
}

/** What is to be done with a message that did not pass. */
export type Verdict =
  /** It was handled, is a dead letter already, or newer ones have replaced it: acknowledge it. */
  | "done"
  /** The event before it is a dead letter and the key is parked: it becomes one too. */
  | "blocked"
  /** It is the first that this consumer can still see of the key: begin with it. */
  | "baseline"
  /** Events between the last one and this one are gone from the stream. */
  | "historyLost"
  /** The events before it have not been handled yet: wait. */
  | "gap";
