import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type JsMsg, jetstreamManager } from "@nats-io/jetstream";
import type { MsgHdrs } from "@nats-io/nats-core";
import { type DeadLetter, DeadLetterSchema } from "../../gen/mesh/admin/v1/dead_letter_pb.ts";
import { raceSignal } from "../core/race.ts";
import type { Online } from "../nats/connection.ts";
import { decodeHeader, type Headers } from "./envelope.ts";
import { readStream } from "./read-stream.ts";
import { DEAD_LETTERS, isMissing } from "./streams.ts";

/** A dead letter, as its headers tell it. */
export interface BuriedLetter {
  /** Its place in the stream of dead letters. */
  readonly seq: number;
  /** `<service>__<subscription>`. */
  readonly consumer: string;
  /** A DeadReason, or that of a later version. */
  readonly reason: string;
  readonly type: string;
  /** Empty if it has none. */
  readonly key: string;
  /** 0 if it has none. */
  readonly keySeq: number;
  readonly eventId: string;
  readonly errorType: string;
  readonly errorMessage: string;
  readonly errorStack: string;
  readonly attempts: number;
  /** How often the event has died, this time included. */
  readonly deaths: number;
  readonly deadTime: Date;
  /** The stream that the event came from. */
  readonly stream: string;
  /** As they stand in the message, without those of the broker. */
  readonly headers: Headers;
}

/** Which dead letters. What is empty does not matter. */
export interface LetterFilter {
  /** `<service>__<subscription>`, or a service. */
  readonly consumer: string;
  readonly reason: string;
  /** The full name of their message, or its last part. */
  readonly type: string;
  readonly key: string;
  readonly since: Date | undefined;
}

const MESSAGE_NOT_FOUND = 10_037;

/**
 * Reads the dead letters that match and stand after a place, the oldest first, without their payloads. Ends at the last
 * one that was there when it began; leaving it early is fine.
 */
export async function* readDeadLetters(
  online: Online,
  { filter, afterSeq, signal }: { filter: LetterFilter; afterSeq: number; signal: AbortSignal },
): AsyncGenerator<BuriedLetter> {
  const read = {
    stream: DEAD_LETTERS.name,
    subject: subjectFor(filter),
    afterSeq,
    headersOnly: true,
    signal,
  };
  for await (const message of readStream(online, read)) {
    const letter = letterOf(message);
    if (matches(letter, filter)) yield letter;
  }
}

/** Reads one dead letter with its payload; undefined if it is not there, or not any more. */
export async function readDeadLetter(
  { connection, lost }: Online,
  seq: number,
  signal: AbortSignal,
): Promise<{ readonly letter: BuriedLetter; readonly payload: Uint8Array } | undefined> {
  const until = AbortSignal.any([signal, lost]);
  const manager = await raceSignal(jetstreamManager(connection, { checkAPI: false }), until);
  const found = await raceSignal(manager.streams.getMessage(DEAD_LETTERS.name, { seq }), until).catch(
    (error) => {
      if (isMissing(error) || (error as { code?: unknown }).code === MESSAGE_NOT_FOUND) return null;
      throw error;
    },
  );
  if (!found) return undefined;
  return { letter: letterOf({ seq, subject: found.subject, headers: found.header }), payload: found.data };
}

/** A dead letter as the contract says it. */
export function describeLetter(letter: BuriedLetter): DeadLetter {
  const { seq, consumer, reason, type, key, keySeq, eventId, errorType, errorMessage, attempts } = letter;
  return create(DeadLetterSchema, {
    seq: BigInt(seq),
    consumer,
    reason,
    type,
    key,
    keySeq: BigInt(keySeq),
    eventId,
    errorType,
    errorMessage,
    attempts,
    deadTime: timestampFromDate(letter.deadTime),
  });
}

function subjectFor({ consumer, reason }: LetterFilter): string {
  const [service, subscription] = consumer.split("__");
  return `dlq.${service || "*"}.${subscription || "*"}.${reason || "*"}`;
}

function matches({ type, key, deadTime }: BuriedLetter, filter: LetterFilter): boolean {
  const isOfType = filter.type === "" || type === filter.type || type.endsWith(`.${filter.type}`);
  const isOfKey = filter.key === "" || key === filter.key;
  return isOfType && isOfKey && (filter.since === undefined || deadTime >= filter.since);
}

/** Reads what can be read: whatever lies in the stream must be seen, and be got rid of. */
function letterOf({
  seq,
  subject,
  headers,
}: Pick<JsMsg, "seq" | "subject"> & { headers?: MsgHdrs | undefined }): BuriedLetter {
  const [, service = "", subscription = "", reason = ""] = subject.split(".");
  const read = (name: string) => readHeader(headers?.get(name) ?? "");
  const count = (name: string) => Number(/^\d{1,15}$/.exec(read(name))?.[0] ?? 0);
  const deadTime = new Date(read("dlq-dead-at"));
  return {
    seq,
    consumer: `${service}__${subscription}`,
    reason,
    type: read("ce-type"),
    key: read("ce-partitionkey"),
    keySeq: count("ce-keyseq"),
    eventId: read("ce-id"),
    errorType: read("dlq-error-type"),
    errorMessage: read("dlq-error-message"),
    errorStack: Buffer.from(read("dlq-error-stack"), "base64").toString(),
    attempts: count("dlq-attempts"),
    deaths: count("dlq-count") || 1,
    deadTime: Number.isNaN(deadTime.getTime()) ? new Date(0) : deadTime,
    stream: read("dlq-orig-stream"),
    headers: Object.fromEntries(
      (headers?.keys() ?? [])
        .filter((name) => !name.startsWith("Nats-"))
        .map((name) => [name, headers?.get(name) ?? ""]),
    ),
  };
}

function readHeader(value: string): string {
  try {
    return decodeHeader(value);
  } catch {
    return value;
  }
}
