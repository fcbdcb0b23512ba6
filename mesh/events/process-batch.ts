import type { JsMsg } from "@nats-io/jetstream";
import { isUnavailable } from "../core/errors.ts";
import { transaction } from "../store/transaction.ts";
import type { Envelope } from "./envelope.ts";
import {
  ACK,
  type Answer,
  handleIn,
  isPassedOver,
  type Processing,
  processMessage,
  workOf,
} from "./process-message.ts";

/** A message that came for the first time, to be handled with others. */
export interface Delivery {
  readonly message: JsMsg;
  readonly envelope: Envelope;
  readonly signal: AbortSignal;
}

/**
 * Handles messages of a LATEST or NONE consumer in one transaction, in their order. If one of them fails, none has been
 * handled, and each is handled by itself, which tells whose fault it is. Rejects if the database is away.
 */
export async function processBatch(
  processing: Processing,
  batch: readonly Delivery[],
): Promise<PromiseSettledResult<Answer>[]> {
  const { sql, telemetry } = processing;
  const works = batch.map(({ message, envelope }) => workOf(processing, message, envelope));
  const known = works.filter((work) => !isPassedOver(work));
  try {
    const passed = await transaction(sql, async (tx) => {
      const each: boolean[] = [];
      for (const work of known) each.push(await handleIn(tx, work));
      return each;
    });
    known.forEach(({ envelope: { eventId, time } }, at) => {
      if (passed[at]) telemetry.handled(eventId, time);
      else telemetry.duplicate(eventId);
    });
    return batch.map(() => ({ status: "fulfilled", value: ACK }));
  } catch (error) {
    if (isUnavailable(error)) throw error;
    const results: PromiseSettledResult<Answer>[] = [];
    for (const { message, envelope, signal } of batch)
      results.push(...(await Promise.allSettled([processMessage(processing, message, envelope, signal)])));
    return results;
  }
}
