import { jetstream, jetstreamManager, type PubAck } from "@nats-io/jetstream";
import { errors, headers as natsHeaders } from "@nats-io/nats-core";
import { type Clock, systemClock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import type { Running } from "../core/process.ts";
import { raceSignal } from "../core/race.ts";
import type { Nats, Online } from "../nats/connection.ts";
import type { Sql } from "../store/connect.ts";
import { leading } from "../store/leader.ts";
import { outboxChanges } from "./publish.ts";
import { ensureStream, type StreamPlan } from "./streams.ts";
import { wavesOf } from "./waves.ts";

/** What the relay of one stream needs. */
export interface RelayOptions {
  readonly sql: Sql;
  readonly databaseUrl: string;
  readonly nats: Nats;
  readonly stream: StreamPlan;
  /** The `ce-source` of messages that name none: a command has many senders. */
  readonly source?: string;
  readonly log: Log;
  readonly clock?: Clock;
}

interface Row {
  readonly id: number;
  readonly event_id: string;
  readonly subject: string;
  readonly key: string | null;
  readonly key_seq: number | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: Buffer;
  readonly created_at: Date;
  readonly attempts: number;
  /** The stream sequence of the key's row before this one; null if that is not published or not there any more. */
  readonly prev_seq: number | null;
}

const BATCH = 512;
const IN_FLIGHT = 256;
const PUBLISH_TIMEOUT_MS = 5_000;
const POLL_MS = { busy: 20, idle: 1_000 };
const BACKOFF_MS = { first: 50, most: 2_000 };
const ATTEMPTS_BEFORE_QUARANTINE = 10;

/**
 * Carries the outbox of one stream to the broker: each committed row at least once, the rows of a key in their order.
 * One process leads, the others stand by. What the broker refuses for good is quarantined with its key; the other keys
 * go on.
 */
export function startRelay(options: RelayOptions): Running {
  const { log, stream, clock = systemClock } = options;
  const stopping = new AbortController();
  const leader = { databaseUrl: options.databaseUrl, role: `relay ${stream.name}`, log, clock };
  const running = leading(leader, stopping.signal, (signal) => relay(options, clock, signal));
  return {
    stop() {
      stopping.abort();
      return running;
    },
  };
}

async function relay(options: RelayOptions, clock: Clock, signal: AbortSignal): Promise<void> {
  const { nats, stream, log } = options;
  let failures = 0;
  while (!signal.aborted) {
    try {
      const online = await nats.online(signal);
      const both = AbortSignal.any([signal, online.lost]);
      const manager = await jetstreamManager(online.connection, { checkAPI: false });
      // The client leaves a request on a lost connection to its timeout.
      await raceSignal(ensureStream(manager, stream), both);
      await drain(options, online, clock, both, () => {
        failures = 0;
      });
    } catch (error) {
      if (signal.aborted) return;
      failures++;
      const backoffMs =
        Math.min(BACKOFF_MS.first * 2 ** failures, BACKOFF_MS.most) * (0.5 + Math.random() / 2);
      log.warn({ stream: stream.name, error: messageOf(error) }, "the relay tries again");
      await clock.sleep(backoffMs, signal);
    }
  }
}

/** Publishes what is pending, for as long as this connection stands. Says each time that all went well. */
async function drain(
  { sql, stream, source, log }: RelayOptions,
  online: Online,
  clock: Clock,
  signal: AbortSignal,
  wentWell: () => void,
): Promise<void> {
  let idleMs = POLL_MS.busy;
  while (!signal.aborted) {
    const changed = outboxChanges.next([stream.name], idleMs, signal, clock);
    const rows = await pendingRows(sql, stream.name);
    if (rows.length === 0) {
      wentWell();
      await changed;
      idleMs = Math.min(idleMs * 2, POLL_MS.idle);
      continue;
    }
    idleMs = POLL_MS.busy;
    await publishRows(sql, stream.name, rows, source, online, log);
    wentWell();
  }
}

function pendingRows(sql: Sql, stream: string): Promise<Row[]> {
  return sql<Row[]>`
    SELECT o.id, o.event_id, o.subject, o.key, o.key_seq, o.headers, o.payload, o.created_at, o.attempts,
           prev.stream_seq AS prev_seq
    FROM outbox o
    LEFT JOIN outbox prev ON prev.stream = o.stream AND prev.key = o.key AND prev.key_seq = o.key_seq - 1
    WHERE o.stream = ${stream} AND o.published_at IS NULL AND o.failed_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM outbox f WHERE f.stream = o.stream AND f.key = o.key
                        AND f.failed_at IS NOT NULL AND f.id < o.id)
    ORDER BY o.id LIMIT ${BATCH}`;
}

/** Publishes in waves and records what the broker has stored. Throws after the first chunk with a failure. */
async function publishRows(
  sql: Sql,
  stream: string,
  rows: readonly Row[],
  source: string | undefined,
  online: Online,
  log: Log,
): Promise<void> {
  // The sequence that the last row of a key got in this batch, for the header of the next one.
  const sequences = new Map<string, number>();
  for (const wave of wavesOf(rows)) {
    for (let i = 0; i < wave.length; i += IN_FLIGHT) {
      const chunk = wave.slice(i, i + IN_FLIGHT);
      const results = await Promise.allSettled(
        chunk.map((row) => publishRow(stream, row, source, sequences, online)),
      );
      const stored: { id: number; seq: number }[] = [];
      const failed: { row: Row; error: unknown }[] = [];
      results.forEach((result, at) => {
        const row = chunk[at] as Row;
        if (result.status === "rejected") failed.push({ row, error: result.reason });
        else {
          stored.push({ id: row.id, seq: result.value.seq });
          if (row.key !== null) sequences.set(row.key, result.value.seq);
        }
      });
      await markPublished(sql, stored);
      if (failed.length > 0) {
        await markFailed(sql, failed, log);
        throw failed[0]?.error;
      }
    }
  }
}

async function publishRow(
  stream: string,
  row: Row,
  source: string | undefined,
  sequences: Map<string, number>,
  online: Online,
): Promise<PubAck> {
  const headers = natsHeaders();
  for (const [name, value] of Object.entries(row.headers)) headers.set(name, value);
  if (source !== undefined && row.headers["ce-source"] === undefined) headers.set("ce-source", source);
  // A dead letter keeps the time of its event.
  if (row.headers["ce-time"] === undefined) headers.set("ce-time", row.created_at.toISOString());
  if (row.key !== null && row.key_seq !== null) {
    const before = sequences.get(row.key) ?? row.prev_seq;
    headers.set("ce-keyseq", String(row.key_seq));
    headers.set("ce-prevseq", row.key_seq === 1 ? "0" : String(before ?? "pruned"));
  }
  const published = jetstream(online.connection).publish(row.subject, row.payload, {
    msgID: row.event_id,
    headers,
    timeout: PUBLISH_TIMEOUT_MS,
    expect: { streamName: stream },
  });
  // The client leaves a request on a lost connection to its timeout.
  return raceSignal(published, online.lost);
}

async function markPublished(sql: Sql, stored: readonly { id: number; seq: number }[]): Promise<void> {
  if (stored.length === 0) return;
  await sql`
    UPDATE outbox SET published_at = clock_timestamp(), stream_seq = ack.seq
    FROM unnest(${stored.map((s) => s.id)}::bigint[], ${stored.map((s) => s.seq)}::bigint[]) AS ack (id, seq)
    WHERE outbox.id = ack.id`;
}

async function markFailed(
  sql: Sql,
  failed: readonly { row: Row; error: unknown }[],
  log: Log,
): Promise<void> {
  for (const { row, error } of failed) {
    const isFinal = isRefusal(error) && row.attempts + 1 >= ATTEMPTS_BEFORE_QUARANTINE;
    if (isFinal)
      log.error(
        { eventId: row.event_id, error: messageOf(error) },
        "the broker refuses an event; quarantined",
      );
    await sql`
      UPDATE outbox SET attempts = attempts + 1, error = ${messageOf(error).slice(0, 1_000)},
        failed_at = CASE WHEN ${isFinal} THEN clock_timestamp() END
      WHERE id = ${row.id}`;
  }
}

/** True if the broker, or its client, says that this message will never do, rather than that it cannot be taken now. */
function isRefusal(error: unknown): boolean {
  const status = (error as { status?: unknown }).status;
  return (
    error instanceof errors.InvalidArgumentError ||
    (typeof status === "number" && status >= 400 && status < 429)
  );
}
