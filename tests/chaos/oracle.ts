import type { Sql } from "../../mesh/store/connect.ts";
import type { Tx } from "../../mesh/store/transaction.ts";
import type { Figures } from "../scenarios/scenario.ts";

/** Which event of which order. */
export interface Effect {
  readonly key: string;
  readonly seq: number;
  readonly eventId: string;
  /** Which attempt of its handler it was, counted from 1. */
  readonly attempt: number;
}

/**
 * Makes the tables that know the truth: what was produced, written with the event, and what was handled, written by the
 * handler. The effects have no constraint that could hide a mistake.
 */
export async function createOracle(sql: Sql): Promise<void> {
  await sql`CREATE TABLE produced (key text, seq int, text text NOT NULL, PRIMARY KEY (key, seq))`;
  await sql`
    CREATE TABLE effect (
      id bigint GENERATED ALWAYS AS IDENTITY, key text NOT NULL, seq int NOT NULL, event_id uuid NOT NULL,
      attempt int NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())`;
}

/** Notes that an event is produced. False if it was before: its transaction had committed, and nobody knew. */
export async function recordProduced(tx: Tx, key: string, seq: number, text: string): Promise<boolean> {
  const { count } = await tx`
    INSERT INTO produced (key, seq, text) VALUES (${key}, ${seq}, ${text}) ON CONFLICT DO NOTHING`;
  return count === 1;
}

/** Notes that an event is handled. */
export async function recordEffect(tx: Tx, { key, seq, eventId, attempt }: Effect): Promise<void> {
  await tx`
    INSERT INTO effect (key, seq, event_id, attempt) VALUES (${key}, ${seq}, ${eventId}, ${attempt})`;
}

/** What the tables say, when all is quiet. */
export async function verdict(sql: Sql): Promise<Figures> {
  const [row] = await sql<Record<string, number>[]>`
    WITH handled AS (
      SELECT key, seq, max(seq) OVER (PARTITION BY key ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
      FROM effect),
    lags AS (
      SELECT extract(epoch FROM e.at - o.created_at)::float8 * 1000 AS ms
      FROM effect e JOIN outbox o ON o.event_id = e.event_id)
    SELECT (SELECT count(*) FROM produced) AS events,
           (SELECT count(*) FROM effect) AS effects,
           (SELECT count(*) FROM produced p WHERE NOT EXISTS (
              SELECT 1 FROM effect e WHERE e.key = p.key AND e.seq = p.seq)) AS lost,
           (SELECT count(*) - count(DISTINCT (key, seq)) FROM effect) AS doubled,
           (SELECT count(*) FROM handled WHERE seq < before) AS "out of order",
           (SELECT count(*) FROM effect e WHERE NOT EXISTS (
              SELECT 1 FROM produced p WHERE p.key = e.key AND p.seq = e.seq)) AS invented,
           (SELECT count(*) FROM outbox WHERE stream = 'DLQ') AS "dead-lettered",
           (SELECT coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY ms), 0) FROM lags) AS "lag p50 ms",
           (SELECT coalesce(percentile_cont(0.99) WITHIN GROUP (ORDER BY ms), 0) FROM lags) AS "lag p99 ms",
           (SELECT coalesce(max(ms), 0) FROM lags) AS "lag max ms"`;
  return row ?? {};
}
