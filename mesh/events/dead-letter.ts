import type { JsMsg } from "@nats-io/jetstream";
import project from "../../package.json" with { type: "json" };
import { messageOf } from "../core/errors.ts";
import { derivedId } from "../core/ids.ts";
import type { Tx } from "../store/transaction.ts";
import { encodeHeader } from "./envelope.ts";
import { type Failures, forgetFailures, nameOf } from "./failures.ts";
import { outboxChanges } from "./publish.ts";
import { DEAD_LETTERS } from "./streams.ts";

/** Why a message became a dead letter. */
export type DeadReason =
  | "exhausted"
  | "permanent"
  | "undecodable"
  | "expired"
  | "blocked"
  | "history_lost"
  | "crash_loop";

/** A message that a consumer gives up. */
export interface DeadLetter {
  /** `<service>__<subscription>`. */
  readonly consumer: string;
  /** The process that gives it up. */
  readonly instance: string;
  readonly message: JsMsg;
  /** The event's id; a message without one is known by its place in the stream. */
  readonly eventId: string;
  readonly reason: DeadReason;
  /** How often the event has died, this time included. */
  readonly deaths: number;
  /** Attempts that are not counted as failures yet. */
  readonly newAttempts: number;
  /** The dead event of the same key that this one waits for. */
  readonly blockedBy?: string | undefined;
  readonly error: unknown;
}

const ERROR_BYTES = 1_024;
const STACK_BYTES = 4_096;

/** The id of the letter about this death of an event: the same again, so that one written twice is recognised. */
export function deadLetterId(consumer: string, eventId: string, deaths: number): string {
  return derivedId(consumer, eventId, String(deaths));
}

/**
 * Writes a dead letter into the outbox, in the transaction that also moves the consumer past the message: it can be
 * neither lost nor doubled. The message goes as it came, headers and all, with `dlq-` headers that say what happened.
 */
export async function publishDeadLetter(tx: Tx, letter: DeadLetter): Promise<void> {
  const { consumer, message, eventId, reason } = letter;
  const [service, subscription] = consumer.split("__");
  const subject = `dlq.${service}.${subscription}.${reason}`;
  const failures = await forgetFailures(tx, { consumer, eventId });
  const headers = { ...originalHeaders(message), ...deathHeaders(letter, failures) };
  const id = deadLetterId(consumer, eventId, letter.deaths);
  await tx`
    INSERT INTO outbox (event_id, stream, subject, type, headers, payload)
    VALUES (${id}, ${DEAD_LETTERS.name}, ${subject}, ${message.headers?.get("ce-type") || "unknown"},
            ${JSON.stringify(headers)}::text::jsonb, ${Buffer.from(message.data)})
    ON CONFLICT (event_id) DO NOTHING`;
  tx.afterCommit(() => outboxChanges.announce(DEAD_LETTERS.name));
}

/** The headers that a message first came with. */
export function originalHeaders(message: JsMsg): Record<string, string> {
  const names = message.headers?.keys() ?? [];
  // What was said of an earlier death, and of the replay after it, is said anew.
  const ours = names.filter((name) => !/^(Nats|dlq|replay)-/i.test(name));
  return Object.fromEntries(ours.map((name) => [name, message.headers?.get(name) ?? ""]));
}

function deathHeaders(letter: DeadLetter, { attempts, firstFailedAt }: Failures): Record<string, string> {
  const { consumer, instance, reason, newAttempts, deaths, blockedBy, error } = letter;
  const now = new Date();
  return {
    "dlq-consumer": consumer,
    "dlq-reason": reason,
    "dlq-error-type": encodeHeader(nameOf(error)),
    "dlq-error-message": encodedStart(messageOf(error), ERROR_BYTES),
    "dlq-error-stack": Buffer.from(error instanceof Error ? (error.stack ?? "") : "")
      .subarray(0, STACK_BYTES)
      .toString("base64"),
    "dlq-attempts": String(attempts + newAttempts),
    "dlq-first-failed-at": (firstFailedAt ?? now).toISOString(),
    "dlq-dead-at": now.toISOString(),
    "dlq-count": String(deaths),
    "dlq-instance": encodeHeader(instance),
    "dlq-build": encodeHeader(project.version),
    ...(blockedBy && { "dlq-blocked-by": blockedBy }),
    ...originHeaders(letter.message),
  };
}

/** Where the event came from: for one that died before, what its first letter said. */
export function originHeaders({ headers, info, subject }: JsMsg) {
  const now = {
    "dlq-orig-stream": info.stream,
    "dlq-orig-subject": subject,
    "dlq-orig-seq": String(info.streamSequence),
    "dlq-orig-time": new Date(info.timestampNanos / 1e6).toISOString(),
  };
  const all = Object.entries(now).map(([name, value]) => [name, headers?.get(name) || value]);
  return Object.fromEntries(all) as typeof now;
}

/** As much of a text as has room in a header, in whole characters. */
function encodedStart(text: string, mostBytes: number): string {
  let header = "";
  for (const char of text) {
    const encoded = encodeHeader(char);
    if (header.length + encoded.length > mostBytes) break;
    header += encoded;
  }
  return header;
}
