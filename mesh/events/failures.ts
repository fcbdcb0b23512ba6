import type { Queries, Sql } from "../store/connect.ts";
import type { Tx } from "../store/transaction.ts";

/** Whose failures are counted, and at what. */
export interface Failing {
  readonly consumer: string;
  readonly eventId: string;
}

/** What has gone wrong with an event so far. */
export interface Failures {
  /** Times that its handler failed. */
  readonly attempts: number;
  readonly firstFailedAt: Date | undefined;
}

/**
 * Counts that an event which was delivered before is about to be handled, in a transaction of its own: a process that
 * dies of the event does not take the count with it. Returns how often that has been.
 */
export async function countStart(sql: Sql, { consumer, eventId }: Failing): Promise<number> {
  const [row] = await sql<{ started: number }[]>`
    INSERT INTO inbox_failure AS f (consumer, event_id, started, first_failed_at)
    VALUES (${consumer}, ${eventId}, 1, now())
    ON CONFLICT (consumer, event_id) DO UPDATE SET started = f.started + 1
    RETURNING started`;
  return row?.started ?? 1;
}

/** Counts a failed attempt. Returns how many there have been. */
export async function countFailure(
  sql: Queries,
  { consumer, eventId }: Failing,
  error: unknown,
): Promise<number> {
  const [row] = await sql<{ attempts: number }[]>`
    INSERT INTO inbox_failure AS f (consumer, event_id, attempts, first_failed_at, error_type, error)
    VALUES (${consumer}, ${eventId}, 1, now(), ${nameOf(error)}, ${String(error).slice(0, 1_000)})
    ON CONFLICT (consumer, event_id) DO UPDATE
      SET attempts = f.attempts + 1, error_type = EXCLUDED.error_type, error = EXCLUDED.error
    RETURNING attempts`;
  return row?.attempts ?? 1;
}

/** Forgets the failures of an event that is handled, or given up, and returns what they were. */
export async function forgetFailures(tx: Tx, { consumer, eventId }: Failing): Promise<Failures> {
  const [row] = await tx<{ attempts: number; first_failed_at: Date | null }[]>`
    DELETE FROM inbox_failure WHERE consumer = ${consumer} AND event_id = ${eventId}
    RETURNING attempts, first_failed_at`;
  return { attempts: row?.attempts ?? 0, firstFailedAt: row?.first_failed_at ?? undefined };
}

/** The kind of anything that was thrown. */
export function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}
