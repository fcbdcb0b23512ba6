import type { JsMsg } from "@nats-io/jetstream";
import { isUnavailable } from "../core/errors.ts";
import { inBatches } from "../core/in-batches.ts";
import { transaction } from "../store/transaction.ts";
import type { Envelope } from "./envelope.ts";
import { Lanes } from "./lanes.ts";
import { passTogether } from "./pass-together.ts";
import {
  ACK,
  type Answer,
  handlePassed,
  isPassedOver,
  type Processing,
  processMessage,
  type Work,
  workOf,
} from "./process-message.ts";
import { boundTransaction } from "./run-handler.ts";

/** A message that is to be handled. */
export interface Delivery {
  readonly message: JsMsg;
  readonly envelope: Envelope;
  /** Aborts when what has not begun is not to begin any more. */
  readonly signal: AbortSignal;
}

/** How many messages one transaction takes, and how many are handled side by side when they are handled by themselves. */
export interface BatchOptions {
  readonly most: number;
  readonly concurrency: number;
}

/**
 * Handles messages in batches: those that wait, in their order, in one transaction. If one of them fails, none has been
 * handled, and each is handled by itself, which tells whose fault it is; so is what does not simply pass, and what comes
 * again, because others may fail of it. Those of a key stay in their order, and no other batch waits for them. Rejects if
 * the database is away, or the signal has aborted before the message began.
 */
export function processInBatches(
  processing: Processing,
  { most, concurrency }: BatchOptions,
): (delivery: Delivery) => Promise<Answer> {
  const lanes = new Lanes(concurrency);

  function alone({ message, envelope, signal }: Delivery): Promise<Answer> {
    const answer = Promise.withResolvers<Answer>();
    lanes.push(envelope.key || `#${message.seq}`, async (giveTurn) => {
      if (signal.aborted) return answer.reject(signal.reason);
      answer.resolve(processMessage(processing, message, envelope, signal, undefined, giveTurn));
      await answer.promise.catch(() => {});
    });
    return answer.promise;
  }

  const together = inBatches<Delivery, Answer>(most, async (deliveries) => {
    const works = deliveries.map(({ message, envelope }) => workOf(processing, message, envelope));
    const known = works.filter((work, at) => !deliveries[at]?.signal.aborted && !isPassedOver(work));
    const handled = await handleTogether(processing, known);
    return deliveries.map((delivery, at) => {
      const work = works[at] as Work;
      return handled.has(work) || isPassedOver(work) ? ACK : alone(delivery);
    });
  });

  return (delivery) => (delivery.message.info.deliveryCount === 1 ? together(delivery) : alone(delivery));
}

/** Handles in one transaction what passes, and returns that; nothing if one of the handlers fails. */
async function handleTogether(processing: Processing, works: readonly Work[]): Promise<ReadonlySet<Work>> {
  if (works.length === 0) return new Set();
  const { sql, consumer, contract, telemetry } = processing;
  try {
    const passed = await transaction(sql, async (tx) => {
      const [passed] = await Promise.all([
        passTogether(tx, consumer, contract, works),
        boundTransaction(tx, contract.handlerTimeoutMs),
      ]);
      for (const work of passed) await handlePassed(tx, work);
      return passed;
    });
    for (const { envelope } of passed) telemetry.handled(envelope.eventId, envelope.time);
    return new Set(passed);
  } catch (error) {
    if (isUnavailable(error)) throw error;
    return new Set();
  }
}
