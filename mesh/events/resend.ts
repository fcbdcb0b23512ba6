import type { Tx } from "../store/transaction.ts";
import { outboxChanges } from "./publish.ts";

/** Events of one key. */
export interface KeyRange {
  readonly stream: string;
  readonly key: string;
  /** The number of the first event, from 1 on. */
  readonly fromSeq: number;
  /** The number of the last one; undefined for the newest. */
  readonly toSeq: number | undefined;
}

/** What is published again. */
export interface Resent {
  readonly events: number;
  /** The number of the last event. */
  readonly lastSeq: number;
}

/** What happened in a length of time, by when it was put into the outbox: from `from` on, before `to`. */
export interface TimeRange {
  readonly stream: string;
  readonly from: Date;
  readonly to: Date;
}

/** The most events of a key that are sent again at once. */
export const MOST_RESENT = 10_000;

/**
 * Has the first 10,000 of these events published again, in their order. What the broker still has, and was given within
 * its duplicate window, it does not store again. Undefined, and nothing is done, if the outbox does not hold all of
 * them: a consumer could not go on with what is left.
 */
export async function resend(tx: Tx, { stream, key, fromSeq, toSeq }: KeyRange): Promise<Resent | undefined> {
  const [known] = await tx<{ last_seq: number }[]>`
    SELECT last_seq FROM event_key WHERE stream = ${stream} AND key = ${key}`;
  const newest = known?.last_seq ?? 0;
  const lastSeq = Math.min(toSeq ?? newest, newest, fromSeq + MOST_RESENT - 1);
  const events = lastSeq - fromSeq + 1;
  if (events < 1) return undefined;
  const [held] = await tx<{ count: number }[]>`
    SELECT count(*) AS count FROM outbox
    WHERE stream = ${stream} AND key = ${key} AND key_seq BETWEEN ${fromSeq} AND ${lastSeq}`;
  if (held?.count !== events) return undefined;
  await tx`
    UPDATE outbox SET published_at = NULL, stream_seq = NULL
    WHERE stream = ${stream} AND key = ${key} AND key_seq BETWEEN ${fromSeq} AND ${lastSeq}
      AND published_at IS NOT NULL`;
  tx.afterCommit(() => outboxChanges.announce(stream));
  return { events, lastSeq };
}

/** Counts the published events of a length of time. */
export async function countRange(tx: Tx, { stream, from, to }: TimeRange): Promise<number> {
  // What was published before it happened does not exist; there is an index for that.
  const [row] = await tx<{ count: number }[]>`
    SELECT count(*) AS count FROM outbox
    WHERE stream = ${stream} AND published_at >= ${from} AND created_at >= ${from} AND created_at < ${to}`;
  return row?.count ?? 0;
}

/** Has the events of a length of time published again, each key's in their order. Returns how many. */
export async function republishRange(tx: Tx, { stream, from, to }: TimeRange): Promise<number> {
  const { count } = await tx`
    UPDATE outbox SET published_at = NULL, stream_seq = NULL
    WHERE stream = ${stream} AND published_at >= ${from} AND created_at >= ${from} AND created_at < ${to}`;
  tx.afterCommit(() => outboxChanges.announce(stream));
  return count;
}

/** Lets one event of a stream, or all, be tried again after the broker has refused it. Returns how many were in quarantine. */
export async function liftQuarantine(
  tx: Tx,
  { stream, eventId }: { readonly stream: string; readonly eventId: string | undefined },
): Promise<number> {
  const { count } = await tx`
    UPDATE outbox SET failed_at = NULL, error = NULL, attempts = 0
    WHERE stream = ${stream} AND failed_at IS NOT NULL
      ${eventId === undefined ? tx`` : tx`AND event_id = ${eventId}`}`;
  tx.afterCommit(() => outboxChanges.announce(stream));
  return count;
}
