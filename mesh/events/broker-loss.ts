import type { JetStreamManager } from "@nats-io/jetstream";
import type { Log } from "../core/log.ts";
import { raceSignal } from "../core/race.ts";
import type { Sql } from "../store/connect.ts";
import type { Meter } from "../telemetry/metrics.ts";
import type { StreamPlan } from "./streams.ts";

/** What is compared: the outbox of one stream, with what the broker has of it. */
export interface AuditOptions {
  readonly sql: Sql;
  readonly manager: JetStreamManager;
  readonly stream: StreamPlan;
  readonly log: Log;
  readonly meter: Meter;
}

/** What an audit found. */
export interface Audited {
  /** How many events the broker had acknowledged and does not have any more. They are pending again. */
  readonly lost: number;
  /** The stream's last sequence: whatever is stored from now on gets a higher one, unless the broker loses more. */
  readonly lastSeq: number;
}

/** A published row. */
interface Published {
  readonly event_id: string;
  readonly stream_seq: number;
}

/** What has become of a published row at the broker. */
type Fate = "kept" | "lost" | "unknown";

const PAGE = 64;
const CHUNK = 5_000;

/**
 * Finds out which acknowledged events the broker has lost, by a crash before it wrote them to its disk or with the disk
 * itself, and marks them as pending again. What a broker loses is the end of a stream, so that two requests do while
 * nothing is lost, and a binary search finds where the loss begins. Sequences that other messages got meanwhile do not
 * deceive it, because messages are told by their ids. Must run before anything is published on a new connection.
 * Rejects if the broker or the database does not answer; aborting the signal gives up.
 */
export async function auditBroker(options: AuditOptions, signal: AbortSignal): Promise<Audited> {
  const { sql, manager, stream, log, meter } = options;
  const publishedRows = (above: number, upTo: number) => publishedBetween(sql, stream.name, above, upTo);
  // Before the broker is asked: what another relay publishes meanwhile is new to it, not lost.
  const newestRows = await publishedRows(0, Number.MAX_SAFE_INTEGER);
  const { state } = await raceSignal(manager.streams.info(stream.name), signal);

  async function fateOf({ event_id, stream_seq }: Published): Promise<Fate> {
    // Gone with its age, or to make room.
    if (stream_seq < state.first_seq) return "kept";
    if (stream_seq > state.last_seq) return "lost";
    const message = await raceSignal(manager.streams.getMessage(stream.name, { seq: stream_seq }), signal);
    if (!message && stream.mayHaveHoles) return "unknown";
    return message?.header.get("Nats-Msg-Id") === event_id ? "kept" : "lost";
  }

  /** The first of these rows whose fate is known. */
  async function firstKnown(rows: readonly Published[]): Promise<{ seq: number; fate: Fate } | undefined> {
    for (const row of rows) {
      const fate = await fateOf(row);
      if (fate !== "unknown") return { seq: row.stream_seq, fate };
    }
    return undefined;
  }

  const newest = await firstKnown(newestRows);
  if (newest?.fate !== "lost") return { lost: 0, lastSeq: state.last_seq };

  let keptUpTo = Math.max(state.first_seq - 1, 0);
  let lostFrom = newest.seq;
  while (lostFrom - keptUpTo > 1) {
    const middle = Math.floor((keptUpTo + lostFrom) / 2);
    const row = await firstKnown(await publishedRows(keptUpTo, middle));
    if (row?.fate === "lost") lostFrom = row.seq;
    else keptUpTo = middle;
  }
  const lost = await markPending(sql, stream.name, lostFrom);
  log.error(
    { stream: stream.name, lost, lostFrom, lastSeq: state.last_seq },
    "the broker has lost acknowledged events; they are published again",
  );
  meter.count("mesh.outbox.broker_loss", { stream: stream.name }, lost);
  return { lost, lastSeq: state.last_seq };
}

/** The last rows between two sequences, the lower one excluded; the last comes first. */
function publishedBetween(sql: Sql, stream: string, above: number, upTo: number): Promise<Published[]> {
  // Of two rows with one sequence the older one is the one that was lost.
  return sql<Published[]>`
    SELECT event_id, stream_seq FROM outbox
    WHERE stream = ${stream} AND published_at IS NOT NULL AND stream_seq > ${above} AND stream_seq <= ${upTo}
    ORDER BY stream_seq DESC, id LIMIT ${PAGE}`;
}

/** The newest first: if this is cut short, the next audit still sees a loss. */
async function markPending(sql: Sql, stream: string, from: number): Promise<number> {
  for (let marked = 0; ; ) {
    const { count } = await sql`
      UPDATE outbox SET published_at = NULL, stream_seq = NULL WHERE id IN (
        SELECT id FROM outbox
        WHERE stream = ${stream} AND published_at IS NOT NULL AND stream_seq >= ${from}
        ORDER BY stream_seq DESC LIMIT ${CHUNK})`;
    marked += count;
    if (count < CHUNK) return marked;
  }
}
