import { jetstream, type PubAck } from "@nats-io/jetstream";
import { errors, type MsgHdrs, headers as natsHeaders } from "@nats-io/nats-core";
import type { Clock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import { raceSignal } from "../core/race.ts";
import type { Online } from "../nats/connection.ts";
import type { Sql } from "../store/connect.ts";
import type { Meter } from "../telemetry/metrics.ts";
import type { StartSpan } from "../telemetry/spans.ts";
import { recordSend } from "./message-spans.ts";
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
  readonly online: Online;
  readonly stream: string;
  /** The `ce-source` of messages that name none: a command has many senders. */
  readonly source?: string;
  /** How long the broker may take to say that it has stored an event. Milliseconds. Defaults to 5,000. */
  readonly publishTimeoutMs?: number;
  /** The stream's last sequence, as an audit found it. */
  readonly lastSeq: number;
  readonly log: Log;
  readonly meter: Meter;
  readonly clock: Clock;
  /** Records each message that is sent; undefined if spans are off. */
  readonly startSpan?: StartSpan | undefined;
}

/** Publishes rows that stand in the order of their ids. */
export type PublishRows = (rows: readonly PendingRow[]) => Promise<void>;

/** What became of a chunk of rows. */
interface Published {
  readonly stored: { readonly row: PendingRow; readonly ack: PubAck }[];
  readonly failed: { readonly row: PendingRow; readonly error: unknown }[];
}

const IN_FLIGHT = 256;
const PUBLISH_TIMEOUT_MS = 5_000;
const ATTEMPTS_BEFORE_QUARANTINE = 10;
const ERROR_CHARS = 1_000;

/** The broker gave a sequence that it had given before: it has lost what stood there. */
export class ReusedSequenceError extends Error {
  override readonly name = "ReusedSequenceError";
}

/**
 * A way to publish on one connection. The rows go in waves, and what the broker has stored is recorded chunk by chunk.
 * It throws after the first chunk with a failure, when all that was stored is recorded; what the broker has refused ten
 * times is quarantined. It throws a {@link ReusedSequenceError}, and records nothing of the chunk, if the broker turns
 * out to have lost events: then an audit must come first.
 */
export function publisherOf(options: PublishOptions): PublishRows {
  const { sql, online, stream, source, log, meter, clock, startSpan } = options;
  const { publishTimeoutMs = PUBLISH_TIMEOUT_MS } = options;
  const client = jetstream(online.connection);
  let { lastSeq } = options;

  /** Publishes rows of which no two have one key. */
  async function publishChunk(
    chunk: readonly PendingRow[],
    sequences: Map<string, number>,
  ): Promise<Published> {
    const results = await Promise.allSettled(chunk.map((row) => publishRow(row, sequences)));
    const published: Published = { stored: [], failed: [] };
    results.forEach((result, at) => {
      const row = chunk[at] as PendingRow;
      if (result.status === "fulfilled") published.stored.push({ row, ack: result.value });
      else published.failed.push({ row, error: result.reason });
    });
    for (const { row, ack } of published.stored) {
      if (row.key !== null) sequences.set(row.key, ack.seq);
    }
    const fresh = published.stored.filter(({ ack }) => !ack.duplicate).map(({ ack }) => ack.seq);
    const reused = fresh.find((seq) => seq <= lastSeq);
    if (reused !== undefined)
      throw new ReusedSequenceError(`${stream} has got ${reused} a second time, after ${lastSeq}`);
    lastSeq = fresh.reduce((last, seq) => Math.max(last, seq), lastSeq);
    return published;
  }

  async function record({ stored, failed }: Published): Promise<void> {
    await markPublished(sql, stored, (seconds) =>
      meter.record("mesh.outbox.publish.latency", seconds, { stream }),
    );
    for (const { row, ack } of stored) {
      const { headers, subject, created_at: createdAt } = row;
      if (startSpan && !ack.duplicate) recordSend(startSpan, clock, { headers, stream, subject, createdAt });
    }
    const duplicates = stored.filter(({ ack }) => ack.duplicate).length;
    meter.count("mesh.outbox.published", { stream }, stored.length - duplicates);
    meter.count("mesh.outbox.publish.duplicates", { stream }, duplicates);
    for (const { row, error } of failed) {
      const isRefused = isRefusal(error);
      meter.count("mesh.outbox.publish.failures", { stream, class: isRefused ? "refused" : "transient" });
      // A broker that is away costs an event none of its attempts.
      if (isRefused) await markRefused(sql, row, error, log);
    }
    if (failed[0]) throw failed[0].error;
  }

  async function publishRow(row: PendingRow, sequences: ReadonlyMap<string, number>): Promise<PubAck> {
    const published = client.publish(row.subject, row.payload, {
      msgID: row.event_id,
      headers: headersOf(row, source, sequences),
      timeout: publishTimeoutMs,
      expect: { streamName: stream },
    });
    // The client leaves a request on a lost connection to its timeout.
    return raceSignal(published, online.lost);
  }

  return async (rows) => {
    // The sequence that the last row of a key got in this batch, for the header of the next one.
    const sequences = new Map<string, number>();
    // What one chunk has come to is written down while the next one is on its way.
    let recording = Promise.resolve();
    try {
      for (const chunk of wavesOf(rows).flatMap(chunksOf)) {
        const [published] = await Promise.all([publishChunk(chunk, sequences), recording]);
        recording = record(published);
        if (published.failed.length > 0) break;
      }
    } finally {
      // Before an audit looks.
      await recording;
    }
  };
}

function chunksOf(wave: readonly PendingRow[]): PendingRow[][] {
  const chunks: PendingRow[][] = [];
  for (let i = 0; i < wave.length; i += IN_FLIGHT) chunks.push(wave.slice(i, i + IN_FLIGHT));
  return chunks;
}

function headersOf(
  row: PendingRow,
  source: string | undefined,
  sequences: ReadonlyMap<string, number>,
): MsgHdrs {
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
  return headers;
}

async function markPublished(
  sql: Sql,
  stored: readonly { row: PendingRow; ack: PubAck }[],
  eachLatency: (seconds: number) => void,
): Promise<void> {
  if (stored.length === 0) return;
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
