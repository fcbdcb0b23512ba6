import type { Prune } from "../store/housekeeping.ts";
import type { Tx } from "../store/transaction.ts";
import type { StreamPlan } from "./streams.ts";

const CHUNK = 5_000;

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

/** Deletes what no redelivery can ask for any more. */
export async function pruneInbox(tx: Tx): Promise<number> {
  const { count } = await tx`
    DELETE FROM inbox_failure WHERE ctid IN (
      SELECT ctid FROM inbox_failure WHERE first_failed_at < now() - interval '15 days' LIMIT ${CHUNK})`;
  return count;
}
