import postgres from "postgres";
import { type Clock, systemClock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { Log } from "../core/log.ts";

/** Who may lead what. */
export interface LeaderOptions {
  readonly databaseUrl: string;
  /** What is led; one process at a time leads it. */
  readonly role: string;
  readonly log: Log;
  readonly clock?: Clock;
}

const TRY_EVERY_MS = 500;

/**
 * Runs `lead` while this process is the one that leads the role, again and again, until the signal aborts. The lead is
 * a PostgreSQL advisory lock of a session of its own: it goes with the session, and `lead`'s signal then aborts. A
 * process that has lost the lead and does not know yet may overlap with its successor for a moment.
 */
export async function leading(
  options: LeaderOptions,
  signal: AbortSignal,
  lead: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const { databaseUrl, role, log, clock = systemClock } = options;
  while (!signal.aborted) {
    const lost = new AbortController();
    const session = openSession(databaseUrl, role, () => lost.abort());
    try {
      const standing = AbortSignal.any([signal, lost.signal]);
      while (!standing.aborted && !(await acquire(session, role))) await clock.sleep(TRY_EVERY_MS, standing);
      if (!standing.aborted) {
        log.info({ role }, "leads");
        await lead(standing);
      }
    } catch (error) {
      if (!signal.aborted) log.warn({ role, error: messageOf(error) }, "lost the lead");
    } finally {
      await session.end({ timeout: 1 }).catch(() => {});
    }
    await clock.sleep(TRY_EVERY_MS, signal);
  }
}

/** A session that lives as long as its connection, and whose server notices within 11 s when we are gone without a word. */
function openSession(url: string, role: string, onclose: () => void) {
  return postgres(url, {
    max: 1,
    max_lifetime: null,
    // The driver's own question about types rejects where nobody can catch it if the session is lost just then.
    fetch_types: false,
    connect_timeout: 5,
    onclose,
    onnotice: () => {},
    connection: {
      application_name: `leader ${role}`,
      tcp_keepalives_idle: 5,
      tcp_keepalives_interval: 2,
      tcp_keepalives_count: 3,
    },
  });
}

async function acquire(session: postgres.Sql, role: string): Promise<boolean> {
  const [row] = await session<{ held: boolean }[]>`
    SELECT pg_try_advisory_lock(hashtext('weft-leader'), hashtext(${role})) AS held`;
  return row?.held === true;
}
