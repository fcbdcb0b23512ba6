import type { Queries } from "../../mesh/store/connect.ts";
import type { Tx } from "../../mesh/store/transaction.ts";
import type { AuditedEvent, EventFilter, Place, StoredEvent } from "./audit.ts";

interface EventRow {
  readonly event_id: string;
  readonly type: string;
  readonly key: string;
  readonly key_seq: number;
  readonly source: string;
  readonly stream: string;
  readonly stream_seq: number;
  readonly subject: string;
  readonly correlation_id: string;
  readonly causation_id: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: Buffer;
  readonly event_time: Date;
  readonly record_time: Date;
  readonly tx: string;
  readonly id: number;
}

function columns(sql: Queries) {
  return sql`event_id, type, key, key_seq, source, stream, stream_seq, subject, correlation_id, causation_id, headers,
    payload, event_time, record_time, tx::text, id`;
}

function toEvent(row: EventRow): StoredEvent {
  return {
    eventId: row.event_id,
    type: row.type,
    key: row.key,
    keySeq: row.key_seq,
    source: row.source,
    stream: row.stream,
    streamSeq: row.stream_seq,
    subject: row.subject,
    correlationId: row.correlation_id,
    causationId: row.causation_id,
    headers: row.headers,
    payload: row.payload,
    eventTime: row.event_time,
    recordTime: row.record_time,
    place: { tx: row.tx, id: row.id },
  };
}

/** Keeps an event. One that is kept already stays as it is. */
export async function insertEvent(tx: Tx, event: AuditedEvent): Promise<void> {
  await tx`
    INSERT INTO audited_event (event_id, type, key, key_seq, source, stream, stream_seq, subject, correlation_id,
                               causation_id, headers, payload, event_time)
    VALUES (${event.eventId}, ${event.type}, ${event.key}, ${event.keySeq}, ${event.source}, ${event.stream},
            ${event.streamSeq}, ${event.subject}, ${event.correlationId}, ${event.causationId},
            ${JSON.stringify(event.headers)}::text::jsonb, ${Buffer.from(event.payload)}, ${event.eventTime})
    ON CONFLICT (event_id) DO NOTHING`;
}

/** Reads an event; undefined if there is none. */
export async function findEvent(sql: Queries, eventId: string): Promise<StoredEvent | undefined> {
  const [row] = await sql<EventRow[]>`SELECT ${columns(sql)} FROM audited_event WHERE event_id = ${eventId}`;
  return row && toEvent(row);
}

/** Which events of a list, and where it goes on. */
export interface ListOptions extends EventFilter {
  readonly since: Date;
  /** The id of the event after which to go on. */
  readonly after: string | undefined;
  readonly limit: number;
}

/** The events that match, the latest first. */
export async function listEvents(sql: Queries, { since, after, limit, ...filter }: ListOptions) {
  const older =
    after === undefined
      ? sql``
      : sql`AND (event_time, event_id) < (SELECT event_time, event_id FROM audited_event WHERE event_id = ${after})`;
  const rows = await sql<EventRow[]>`
    SELECT ${columns(sql)} FROM audited_event
    WHERE event_time >= ${since} ${matching(sql, filter)} ${older}
    ORDER BY event_time DESC, event_id DESC LIMIT ${limit}`;
  return rows.map(toEvent);
}

/** The place before all events that are not visible yet. */
export async function lastPlace(sql: Queries): Promise<Place> {
  const [row] = await sql<{ tx: string }[]>`SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS tx`;
  return { tx: row?.tx ?? "0", id: 0 };
}

/**
 * The events that match after a place, in their order, none left out: those of transactions that are older than every
 * one that is still open, so that nothing can become visible before them any more (as in watermill-sql's PostgreSQL
 * reader).
 */
export async function eventsAfter(sql: Queries, filter: EventFilter, { tx, id }: Place, limit: number) {
  const rows = await sql<EventRow[]>`
    SELECT ${columns(sql)} FROM audited_event
    WHERE (tx, id) > (${tx}::text::xid8, ${id}) AND tx < pg_snapshot_xmin(pg_current_snapshot()) ${matching(sql, filter)}
    ORDER BY audited_event.tx, id LIMIT ${limit}`;
  return rows.map(toEvent);
}

function matching(sql: Queries, { type, key }: EventFilter) {
  const name = type.slice(type.lastIndexOf(".") + 1);
  return sql`
    ${type === "" ? sql`` : sql`AND name = ${name}`}
    ${name === type ? sql`` : sql`AND type = ${type}`}
    ${key === "" ? sql`` : sql`AND key = ${key}`}`;
}
