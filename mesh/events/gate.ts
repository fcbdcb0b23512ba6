import type { Queries } from "../store/connect.ts";
import type { Tx } from "../store/transaction.ts";
import type { Verdict } from "./progress.ts";

/** The place of an event: whose consumer it is for, and where it stands among the events of its key. */
export interface Place {
  readonly consumer: string;
  readonly stream: string;
  readonly key: string;
  readonly seq: number;
}

/**
 * Passes the gate of a STRICT consumer if this event is the key's next one, in the handler's transaction, and so makes
 * effect and progress durable together. Two holders of one key meet at the row's lock: one passes.
 */
export async function advance(tx: Tx, { consumer, stream, key, seq }: Place): Promise<boolean> {
  const [row] = await tx<{ advanced: number }[]>`
    WITH up AS (
      UPDATE inbox_cursor SET last_seq = ${seq}, retry_at = NULL, updated_at = now()
      WHERE consumer = ${consumer} AND stream = ${stream} AND key = ${key} AND last_seq = ${seq}::int - 1
        AND parked_until < ${seq}
      RETURNING 1),
    ins AS (
      INSERT INTO inbox_cursor (consumer, stream, key, last_seq)
      SELECT ${consumer}, ${stream}, ${key}, 1 WHERE ${seq}::int = 1
      ON CONFLICT DO NOTHING RETURNING 1)
    SELECT (SELECT count(*) FROM up) + (SELECT count(*) FROM ins) AS advanced`;
  return row?.advanced === 1;
}

/** Events of one key, without a gap between the numbers of the first and the last. */
export interface Run {
  readonly key: string;
  readonly first: number;
  readonly last: number;
}

/**
 * Passes the gate with runs of events, one of each key, in the transaction of all their handlers. Returns the keys whose
 * whole run has passed; of the others nothing has. A key that somebody else holds does not pass, rather than keep the
 * others waiting.
 */
export async function advanceRuns(
  tx: Tx,
  { consumer, stream }: Pick<Place, "consumer" | "stream">,
  runs: readonly Run[],
): Promise<ReadonlySet<string>> {
  const [keys, firsts, lasts] = columnsOf(runs);
  // Two who begin the same keys wait for each other in one order: that of the keys. Each row is found by the whole key,
  // whatever the planner believes of the table: a join could read all the keys that the consumer has.
  const rows = await tx<{ key: string }[]>`
    WITH run AS (
      SELECT * FROM unnest(${keys}::text[], ${firsts}::int[], ${lasts}::int[]) AS run (key, first, last)),
    held AS (
      SELECT run.key, run.last FROM run CROSS JOIN LATERAL (
        SELECT 1 FROM inbox_cursor c
        WHERE c.consumer = ${consumer} AND c.stream = ${stream} AND c.key = run.key AND c.last_seq = run.first - 1
          AND c.parked_until < run.first
        FOR UPDATE SKIP LOCKED) own),
    up AS (
      INSERT INTO inbox_cursor (consumer, stream, key, last_seq)
      SELECT ${consumer}, ${stream}, key, last FROM held
      ON CONFLICT (consumer, stream, key) DO UPDATE
        SET last_seq = EXCLUDED.last_seq, retry_at = NULL, updated_at = now()
      RETURNING key),
    ins AS (
      INSERT INTO inbox_cursor (consumer, stream, key, last_seq)
      SELECT ${consumer}, ${stream}, key, last FROM run WHERE first = 1 ORDER BY key
      ON CONFLICT DO NOTHING RETURNING key)
    SELECT key FROM up UNION ALL SELECT key FROM ins`;
  return new Set(rows.map(({ key }) => key));
}

/** Runs as the arrays that a statement takes. */
export function columnsOf(runs: readonly Run[]): [string[], number[], number[]] {
  return [runs.map(({ key }) => key), runs.map(({ first }) => first), runs.map(({ last }) => last)];
}

/**
 * Passes the gate with an event that was a dead letter, parked or not. False if it is not the next one of a parked key.
 * `isPastLost` says that the events before it are gone.
 */
export async function advanceReplayed(
  tx: Tx,
  { consumer, stream, key, seq }: Place,
  { isPastLost }: { readonly isPastLost: boolean },
): Promise<boolean> {
  const [row] = await tx<{ passed: boolean }[]>`
    WITH up AS (
      UPDATE inbox_cursor SET last_seq = greatest(last_seq, ${seq}), retry_at = NULL, updated_at = now()
      WHERE consumer = ${consumer} AND stream = ${stream} AND key = ${key}
        AND (last_seq >= ${seq}::int - 1 OR (${isPastLost} AND parked_until >= ${seq}))
      RETURNING 1)
    SELECT EXISTS (SELECT 1 FROM up) OR NOT EXISTS (
      SELECT 1 FROM inbox_cursor WHERE consumer = ${consumer} AND stream = ${stream} AND key = ${key}) AS passed`;
  return row?.passed === true;
}

/** How far a consumer is with a key. */
export interface Cursor {
  readonly lastSeq: number;
  /** The events after `lastSeq` and up to this one are dead letters, or were gone from the stream before they came. */
  readonly parkedUntil: number;
  readonly retryAt: Date | null;
  /** The event whose death parked the key. */
  readonly parkedBy: string | null;
}

/** Reads the cursor of a key; undefined if the consumer has seen nothing of it. */
export async function cursorOf(sql: Queries, { consumer, stream, key }: Place): Promise<Cursor | undefined> {
  const [row] = await sql<Row[]>`
    SELECT last_seq, parked_until, retry_at, parked_by FROM inbox_cursor
    WHERE consumer = ${consumer} AND stream = ${stream} AND key = ${key}`;
  return (
    row && {
      lastSeq: row.last_seq,
      parkedUntil: row.parked_until,
      retryAt: row.retry_at,
      parkedBy: row.parked_by,
    }
  );
}

interface Row {
  readonly last_seq: number;
  readonly parked_until: number;
  readonly retry_at: Date | null;
  readonly parked_by: string | null;
}

/**
 * Tells why an event did not pass, in the order of the questions. `predecessorIsGone` is asked last and only when it
 * matters: the answer must come from the stream's state now, never from a clock or from what arrived first.
 */
export async function judge(
  seq: number,
  cursor: Cursor | undefined,
  predecessorIsGone: () => Promise<boolean>,
): Promise<Verdict> {
  const { lastSeq, parkedUntil } = cursor ?? { lastSeq: 0, parkedUntil: 0 };
  if (seq <= lastSeq || seq <= parkedUntil) return "done";
  if (parkedUntil > lastSeq && seq === parkedUntil + 1) return "blocked";
  // The next one after all: whoever held the row when we asked has rolled back.
  if (seq === Math.max(lastSeq, parkedUntil) + 1) return "gap";
  if (!(await predecessorIsGone())) return "gap";
  return cursor ? "historyLost" : "baseline";
}

/** Begins a key with this event. False if somebody else has begun it meanwhile. */
export async function beginWith(tx: Tx, { consumer, stream, key, seq }: Place): Promise<boolean> {
  const { count } = await tx`
    INSERT INTO inbox_cursor (consumer, stream, key, last_seq) VALUES (${consumer}, ${stream}, ${key}, ${seq})
    ON CONFLICT DO NOTHING`;
  return count === 1;
}

/** Parks a key at a dead letter. False if this event is not the key's next one: then it is no dead letter yet. */
export async function park(tx: Tx, { consumer, stream, key, seq }: Place, eventId: string): Promise<boolean> {
  const { count } = await tx`
    INSERT INTO inbox_cursor AS c (consumer, stream, key, last_seq, parked_until, parked_by)
    SELECT ${consumer}, ${stream}, ${key}, ${seq}::int - 1, ${seq}, ${eventId}
    ON CONFLICT (consumer, stream, key) DO UPDATE
      SET parked_until = EXCLUDED.parked_until, retry_at = NULL, updated_at = now(),
          parked_by = CASE WHEN c.parked_until > c.last_seq THEN c.parked_by ELSE EXCLUDED.parked_by END
      WHERE greatest(c.last_seq, c.parked_until) = EXCLUDED.parked_until - 1`;
  return count === 1;
}

/** Goes past a dead letter as if it had been handled. False if this event is not the key's next one. */
export async function skip(tx: Tx, place: Place): Promise<boolean> {
  // Only what has passed the gate before becomes a dead letter this way, so a key without a row begins with it.
  return (await advance(tx, place)) || (await beginWith(tx, place));
}

/** Goes past events that will not come any more, up to and including this one. False if the key is further on. */
export async function passLost(tx: Tx, { consumer, stream, key, seq }: Place): Promise<boolean> {
  const { count } = await tx`
    UPDATE inbox_cursor SET last_seq = ${seq}, retry_at = NULL, updated_at = now()
    WHERE consumer = ${consumer} AND stream = ${stream} AND key = ${key} AND greatest(last_seq, parked_until) < ${seq}`;
  return count === 1;
}

/** Parks a key at this event though events before it will not come any more. False if the key is further on. */
export async function parkPastLost(
  tx: Tx,
  { consumer, stream, key, seq }: Place,
  eventId: string,
): Promise<boolean> {
  const { count } = await tx`
    UPDATE inbox_cursor
    SET parked_until = ${seq}, retry_at = NULL, updated_at = now(),
        parked_by = CASE WHEN parked_until > last_seq THEN parked_by ELSE ${eventId}::uuid END
    WHERE consumer = ${consumer} AND stream = ${stream} AND key = ${key} AND greatest(last_seq, parked_until) < ${seq}`;
  return count === 1;
}

/** Lets the successors of a failed event know when to come again. */
export async function postpone(
  sql: Queries,
  { consumer, stream, key }: Place,
  delayMs: number,
): Promise<void> {
  await sql`
    UPDATE inbox_cursor SET retry_at = now() + ${delayMs} * interval '1 millisecond'
    WHERE consumer = ${consumer} AND stream = ${stream} AND key = ${key}`;
}
