import type { Tx } from "../store/transaction.ts";
import { DEAD_LETTERS } from "./streams.ts";

const CHUNK = 5_000;

/** Deletes published rows that are as old as their stream keeps messages: 7 days, dead letters 30. */
export async function pruneOutbox(tx: Tx): Promise<number> {
  const { count } = await tx`
    DELETE FROM outbox WHERE id IN (
      SELECT id FROM outbox
      WHERE published_at < now() - CASE WHEN stream = ${DEAD_LETTERS.name} THEN interval '30 days' ELSE interval '7 days' END
      ORDER BY published_at LIMIT ${CHUNK})`;
  return count;
}

/** Deletes what no redelivery can ask for any more. */
export async function pruneInbox(tx: Tx): Promise<number> {
  const { count } = await tx`
    DELETE FROM inbox_failure WHERE ctid IN (
      SELECT ctid FROM inbox_failure WHERE first_failed_at < now() - interval '15 days' LIMIT ${CHUNK})`;
  return count;
}
