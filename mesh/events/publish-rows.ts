import { errors, type MsgHdrs, headers as natsHeaders } from "@nats-io/nats-core";
import type { Clock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import type { Sql } from "../store/connect.ts";
import type { Meter } from "../telemetry/metrics.ts";
import type { StartSpan } from "../telemetry/spans.ts";
import { recordSend } from "./message-spans.ts";
import type { Ack, Outgoing, Publisher } from "./publisher.ts";
import { wavesOf } from "./waves.ts";

/** An event that waits in the outbox. */
export interface PendingRow {
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

/** What publishing on one connection needs. */
export interface PublishOptions {
  readonly sql: Sql;
  readonly publisher: Publisher;
  readonly stream: string;
  /** The `ce-source` of messages that name none: a command has many senders. */
  readonly source?: string;
  /** How long the broker may say nothing while events are on their way. Milliseconds. Defaults to 5,000. */
  readonly publishTimeoutMs?: number;
  /** The stream's last sequence, as an audit found it. */
  readonly lastSeq: number;
  readonly log: Log;
  readonly meter: Meter;
  readonly clock: Clock;
  /** Records each message that is sent; undefined if spans are off. */
  readonly startSpan?: StartSpan | undefined;
}

/** Publishes rows that stand in the order of their ids. Resolves when the broker has stored all. */
export type PublishRows = (rows: readonly PendingRow[]) => Promise<{
  /** Resolves when it is written down that these rows, and all before them, are published. */
  readonly recorded: Promise<void>;
}>;

/** A row that the broker has stored. */
interface Stored {
  readonly row: PendingRow;
  readonly ack: Ack;
}

/** A row that the broker has not stored, as far as is known. */
interface Failed {
  readonly row: PendingRow;
  readonly error: unknown;
}

/** Where the last event of a key was stored. */
interface Before {
  readonly keySeq: number;
  readonly seq: number;
}

const SILENCE_MS = 5_000;
const ATTEMPTS_BEFORE_QUARANTINE = 10;
const ERROR_CHARS = 1_000;

/** The broker gave a sequence that it had given before: it has lost what stood there. */
export class ReusedSequenceError extends Error {
  override readonly name = "ReusedSequenceError";
}

/**
 * A way to publish on one connection. The rows go in waves, and what the broker has stored is written down while the next
 * wave is on its way. It throws after the first wave with a failure, when all that was stored is recorded; what the broker
 * has refused ten times is quarantined. It throws a {@link ReusedSequenceError}, and records nothing of the wave, if the
 * broker turns out to have lost events: then an audit must come first.
 */
export function publisherOf(options: PublishOptions): PublishRows {
  const { sql, publisher, stream, source, log, meter, clock, startSpan } = options;
  const { publishTimeoutMs = SILENCE_MS } = options;
  let { lastSeq } = options;
  // Where the keys of these rows, and of those before them, were stored last: their successors may have been read
  // before that was written down.
  let [earlier, places] = [new Map<string, Before>(), new Map<string, Before>()];
  const stored: Stored[] = [];
  let recording = Promise.resolve();

  /** Publishes rows of which no two have one key. Resolves with those that failed. */
  async function publishWave(wave: readonly PendingRow[]): Promise<Failed[]> {
    const messageAt = (at: number) => outgoing(wave[at] as PendingRow);
    const outcomes = await publisher.publishAll(wave.length, messageAt, publishTimeoutMs);
    const failed: Failed[] = [];
    const acked: Stored[] = [];
    outcomes.forEach((outcome, at) => {
      const row = wave[at] as PendingRow;
      if ("ack" in outcome) acked.push({ row, ack: outcome.ack });
      else failed.push({ row, error: outcome.error });
    });
    const fresh = acked.filter(({ ack }) => !ack.isDuplicate).map(({ ack }) => ack.seq);
    const reused = fresh.find((seq) => seq <= lastSeq);
    if (reused !== undefined)
      throw new ReusedSequenceError(`${stream} has got ${reused} a second time, after ${lastSeq}`);
    lastSeq = fresh.reduce((last, seq) => Math.max(last, seq), lastSeq);
    for (const { row, ack } of acked) {
      if (row.key !== null && row.key_seq !== null)
        places.set(row.key, { keySeq: row.key_seq, seq: ack.seq });
    }
    stored.push(...acked);
    return failed;
  }

  function outgoing(row: PendingRow): Outgoing {
    const before = row.key === null ? undefined : (places.get(row.key) ?? earlier.get(row.key));
    const prevSeq = before && before.keySeq + 1 === row.key_seq ? before.seq : row.prev_seq;
    const headers = headersOf(row, stream, source, prevSeq);
    return { subject: row.subject, headers, payload: row.payload };
  }

  /** Writes down what has been stored meanwhile. */
  async function record(): Promise<void> {
    const some = stored.splice(0);
    if (some.length === 0) return;
    await markPublished(sql, some, (seconds) =>
      meter.record("mesh.outbox.publish.latency", seconds, { stream }),
    );
    for (const { row, ack } of some) {
      const { headers, subject, created_at: createdAt } = row;
      if (startSpan && !ack.isDuplicate)
        recordSend(startSpan, clock, { headers, stream, subject, createdAt });
    }
    const duplicates = some.filter(({ ack }) => ack.isDuplicate).length;
    meter.count("mesh.outbox.published", { stream }, some.length - duplicates);
    meter.count("mesh.outbox.publish.duplicates", { stream }, duplicates);
  }

  async function recordFailures(failed: readonly Failed[]): Promise<void> {
    for (const { row, error } of failed) {
      const isRefused = isRefusal(error);
      meter.count("mesh.outbox.publish.failures", { stream, class: isRefused ? "refused" : "transient" });
      // A broker that is away costs an event none of its attempts.
      if (isRefused) await markRefused(sql, row, error, log);
    }
  }

  return async (rows) => {
    [earlier, places] = [places, new Map()];
    try {
      for (const wave of wavesOf(rows)) {
        const failed = await publishWave(wave);
        recording = recording.then(record);
        // Told to whoever waits for it.
        recording.catch(() => {});
        if (failed[0]) {
          await recording;
          await recordFailures(failed);
          throw failed[0].error;
        }
      }
    } catch (error) {
      await recording;
      throw error;
    }
    return { recorded: recording };
  };
}

function headersOf(
  row: PendingRow,
  stream: string,
  source: string | undefined,
  prevSeq: number | null,
): MsgHdrs {
  const headers = natsHeaders();
  headers.append("Nats-Msg-Id", row.event_id);
  headers.append("Nats-Expected-Stream", stream);
  for (const [name, value] of Object.entries(row.headers)) headers.append(name, value);
  if (source !== undefined && row.headers["ce-source"] === undefined) headers.append("ce-source", source);
  // A dead letter keeps the time of its event.
  if (row.headers["ce-time"] === undefined) headers.append("ce-time", row.created_at.toISOString());
  if (row.key !== null && row.key_seq !== null) {
    headers.append("ce-keyseq", String(row.key_seq));
    headers.append("ce-prevseq", row.key_seq === 1 ? "0" : String(prevSeq ?? "pruned"));
  }
  return headers;
}

async function markPublished(
  sql: Sql,
  stored: readonly Stored[],
  eachLatency: (seconds: number) => void,
): Promise<void> {
  const ids = stored.map(({ row }) => row.id);
  const seqs = stored.map(({ ack }) => ack.seq);
  const rows = await sql<{ seconds: number }[]>`
    UPDATE outbox SET published_at = clock_timestamp(), stream_seq = ack.seq
    FROM unnest(${ids}::bigint[], ${seqs}::bigint[]) AS ack (id, seq)
    WHERE outbox.id = ack.id
    RETURNING extract(epoch FROM published_at - created_at)::float8 AS seconds`;
  for (const { seconds } of rows) eachLatency(seconds);
}

async function markRefused(sql: Sql, row: PendingRow, error: unknown, log: Log): Promise<void> {
  const isFinal = row.attempts + 1 >= ATTEMPTS_BEFORE_QUARANTINE;
  const said = messageOf(error);
  if (isFinal) log.error({ eventId: row.event_id, error: said }, "the broker refuses an event; quarantined");
  await sql`
    UPDATE outbox SET attempts = attempts + 1, error = ${said.slice(0, ERROR_CHARS)},
      failed_at = CASE WHEN ${isFinal} THEN clock_timestamp() END
    WHERE id = ${row.id}`;
}

/** True if the broker, or its client, says that this message will never do, rather than that it cannot be taken now. */
function isRefusal(error: unknown): boolean {
  const status = (error as { status?: unknown }).status;
  return (
    error instanceof errors.InvalidArgumentError ||
    (typeof status === "number" && status >= 400 && status < 429)
  );
}
