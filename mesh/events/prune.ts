import { MAX_STREAM_AGE_MS } from "../contract/event.ts";
import type { Prune } from "../store/housekeeping.ts";
import type { Tx } from "../store/transaction.ts";
import type { StreamPlan } from "./streams.ts";

const CHUNK = 5_000;
const DAYS_KNOWN = (2 * MAX_STREAM_AGE_MS) / 86_400_000 + 1;

/** Deletes published rows once their stream, which keeps messages as long, has none of them either. */
export function pruneOutbox({ name, maxAgeMs }: StreamPlan): Prune {
  return async (tx) => {
    const { count } = await tx`
      DELETE FROM outbox WHERE id IN (
        SELECT id FROM outbox
        WHERE stream = ${name} AND published_at < now() - ${maxAgeMs} * interval '1 millisecond'
        ORDER BY published_at LIMIT ${CHUNK})`;
    return count;
  };
}

/**
 * Deletes what no redelivery can ask for any more: an event can be published again for as long as its outbox keeps it,
 * and then stays in its stream as long. A key that was idle for long begins anew with its next event, whose predecessor
 * is gone then; one that is parked is kept for its dead letters.
 */
export async function pruneInbox(tx: Tx): Promise<number> {
  const failures = await tx`
    DELETE FROM inbox_failure WHERE ctid IN (
      SELECT ctid FROM inbox_failure WHERE first_failed_at < now() - ${DAYS_KNOWN} * interval '1 day' LIMIT ${CHUNK})`;
  const handled = await tx`
    DELETE FROM inbox WHERE ctid IN (
      SELECT ctid FROM inbox WHERE processed_at < now() - ${DAYS_KNOWN} * interval '1 day' ORDER BY processed_at LIMIT ${CHUNK})`;
  const cursors = await tx`
    DELETE FROM inbox_cursor WHERE ctid IN (
      SELECT ctid FROM inbox_cursor
      WHERE updated_at < now() - interval '30 days' AND parked_until <= last_seq LIMIT ${CHUNK} FOR UPDATE SKIP LOCKED)`;
  return failures.count + handled.count + cursors.count;
}
