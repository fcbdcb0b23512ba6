import type { Queries } from "../store/connect.ts";

/** What the outbox holds for one stream. */
export interface OutboxStats {
  readonly stream: string;
  /** Events that wait to be published. */
  readonly pending: number;
  /** How long the oldest of them has waited. Undefined if none waits. */
  readonly oldestPendingAgeMs: number | undefined;
  /** Events that the broker refuses for good. */
  readonly quarantined: number;
  /** The highest sequence of what is published and kept; 0 if nothing is. */
  readonly lastStreamSeq: number;
}

/** An event that the broker refuses for good. */
export interface Quarantined {
  readonly eventId: string;
  readonly type: string;
  readonly key: string | undefined;
  readonly keySeq: number | undefined;
  readonly error: string;
  readonly failedAt: Date;
}

/** Counts what the outbox holds for these streams, in their order. Costs as much as there is pending. */
export async function outboxStats(sql: Queries, streams: readonly string[]): Promise<OutboxStats[]> {
  const rows = await sql<
    { stream: string; pending: number; age_s: number | null; quarantined: number; last_seq: number }[]
  >`
    SELECT s.stream, pending.count AS pending, pending.age_s, failed.count AS quarantined,
      coalesce((SELECT max(stream_seq) FROM outbox o WHERE o.stream = s.stream AND o.published_at IS NOT NULL), 0)
        AS last_seq
    FROM unnest(${[...streams]}::text[]) WITH ORDINALITY AS s (stream, place),
      LATERAL (SELECT count(*), extract(epoch FROM clock_timestamp() - min(created_at))::float8 AS age_s FROM outbox o
               WHERE o.stream = s.stream AND o.published_at IS NULL AND o.failed_at IS NULL) AS pending,
      LATERAL (SELECT count(*) FROM outbox o WHERE o.stream = s.stream AND o.failed_at IS NOT NULL) AS failed
    ORDER BY s.place`;
  return rows.map(({ stream, pending, age_s, quarantined, last_seq }) => ({
    stream,
    pending,
    oldestPendingAgeMs: age_s === null ? undefined : Math.max(Math.round(age_s * 1_000), 0),
    quarantined,
    lastStreamSeq: last_seq,
  }));
}

/** What the outbox takes of the disk, its indexes and long values included. */
export async function outboxBytes(sql: Queries): Promise<number> {
  const [row] = await sql<{ bytes: number }[]>`SELECT pg_total_relation_size('outbox') AS bytes`;
  return row?.bytes ?? 0;
}

/** The events of a stream that are set aside, the oldest first. */
export async function quarantine(sql: Queries, stream: string, limit: number): Promise<Quarantined[]> {
  const rows = await sql<
    {
      event_id: string;
      type: string;
      key: string | null;
      key_seq: number | null;
      error: string | null;
      failed_at: Date;
    }[]
  >`
    SELECT event_id, type, key, key_seq, error, failed_at FROM outbox
    WHERE stream = ${stream} AND failed_at IS NOT NULL ORDER BY id LIMIT ${limit}`;
  return rows.map((row) => ({
    eventId: row.event_id,
    type: row.type,
    key: row.key ?? undefined,
    keySeq: row.key_seq ?? undefined,
    error: row.error ?? "",
    failedAt: row.failed_at,
  }));
}
