import { fromBinary } from "@bufbuild/protobuf";
import type { JsMsg } from "@nats-io/jetstream";
import { OnDead, OnUnknownType } from "../../gen/mesh/event/v1/event_pb.ts";
import type { SubscriptionContract } from "../contract/event.ts";
import type { Clock } from "../core/clock.ts";
import { isUnavailable, PermanentError } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import { raceSignal } from "../core/race.ts";
import { childOf, parseTraceparent } from "../core/trace.ts";
import { runWork } from "../core/work.ts";
import type { Sql } from "../store/connect.ts";
import { type Tx, transaction } from "../store/transaction.ts";
import { type DeadReason, publishDeadLetter } from "./dead-letter.ts";
import { type Envelope, UndecodableError } from "./envelope.ts";
import {
  advance,
  beginWith,
  cursorOf,
  judge,
  type Place,
  park,
  parkPastLost,
  passLost,
  postpone,
  skip,
} from "./gate.ts";
import type { EventHandler } from "./handlers.ts";

/** What the processing of one consumer's messages needs. */
export interface Processing {
  readonly sql: Sql;
  readonly consumer: string;
  readonly contract: SubscriptionContract;
  readonly handlers: ReadonlyMap<string, EventHandler>;
  /** The first sequence that the stream still holds, asked of the broker now. */
  readonly firstSeqOfStream: () => Promise<number>;
  /** The delay before attempt 2, 3, ...; the last one also before any later attempt. Milliseconds. */
  readonly retryDelaysMs: readonly number[];
  readonly log: Log;
  readonly clock: Clock;
}

/** What the broker is to be told of a message. */
export type Answer =
  | { readonly kind: "ack" }
  /** Deliver it again after a while. */
  | { readonly kind: "nak"; readonly delayMs: number };

const ACK: Answer = { kind: "ack" };

/** What {@link Processing.retryDelaysMs} usually is. */
export const RETRY_DELAYS_MS: readonly number[] = [500, 2_000, 8_000, 30_000, 120_000];

const GAP_RECHECKS_MS = [5, 10, 20, 40, 80];
const GAP_NAK_MS = { first: 250, most: 5_000 };

/**
 * Handles one message of a STRICT consumer: gate, handler and effects in one transaction. What the handler throws
 * counts as an attempt; after the last attempt the message becomes a dead letter. Throws only if the database is away:
 * then nothing has happened.
 */
export async function processMessage(
  processing: Processing,
  message: JsMsg,
  envelope: Envelope,
  signal: AbortSignal,
): Promise<Answer> {
  const { sql, consumer, contract, handlers, clock, log } = processing;
  const place = { consumer, stream: contract.stream, key: envelope.key, seq: envelope.keySeq };
  const handler = handlers.get(envelope.type);

  const enter = async (gate: (tx: Tx) => Promise<boolean>): Promise<"entered" | "closed"> =>
    transaction(sql, async (tx) => {
      if (!(await gate(tx))) return "closed";
      if (handler) await runHandler(processing, handler, tx, message, envelope);
      // Behind the gate, so that it becomes a dead letter when it is its turn.
      else if (contract.onUnknownType === OnUnknownType.DEAD_LETTER)
        throw new UndecodableError(`${envelope.type} is not handled`);
      return "entered";
    });

  try {
    for (let recheck = 0; ; recheck++) {
      if ((await enter((tx) => advance(tx, place))) === "entered") return ACK;
      const cursor = await cursorOf(sql, place);
      const verdict = await judge(place.seq, cursor, () => predecessorIsGone(processing, envelope));
      switch (verdict) {
        case "done":
          return ACK;
        case "blocked":
          return await dead(
            processing,
            message,
            envelope,
            place,
            "blocked",
            new Error("the event before it is a dead letter"),
            0,
          );
        case "historyLost":
          return await dead(
            processing,
            message,
            envelope,
            place,
            "history_lost",
            new Error("events before it are gone"),
            0,
          );
        case "baseline":
          log.warn(
            { consumer, key: place.key, seq: place.seq },
            "begins a key with what the stream still has",
          );
          if ((await enter((tx) => beginWith(tx, place))) === "entered") return ACK;
          break;
        case "gap": {
          const recheckMs = GAP_RECHECKS_MS[recheck];
          if (recheckMs === undefined || signal.aborted) return gapAnswer(message, cursor?.retryAt, clock);
          // Without a connection: whoever works on the event before may need it.
          await clock.sleep(recheckMs, signal);
        }
      }
    }
  } catch (error) {
    if (isUnavailable(error)) throw error;
    return failed(processing, message, envelope, place, error);
  }
}

async function runHandler(
  processing: Processing,
  handler: EventHandler,
  tx: Tx,
  message: JsMsg,
  envelope: Envelope,
): Promise<void> {
  const { contract, clock } = processing;
  const event = decode(handler, message);
  const attempt = (await forgetFailures(processing, tx, message, envelope)) + 1;
  const timeout = AbortSignal.timeout(contract.handlerTimeoutMs);
  const work = {
    trace: childOf(parseTraceparent(envelope.traceparent)),
    requestId: envelope.correlationId,
    causationId: envelope.eventId,
    deadlineMs: clock.now() + contract.handlerTimeoutMs,
    signal: timeout,
  };
  const meta = { ...envelope, attempt, signal: timeout };
  await raceSignal(
    runWork(work, () => handler.handle(tx, event as never, meta)),
    timeout,
  );
}

/** Forgets the failed attempts, if the handler succeeds now. Returns how many there were. */
async function forgetFailures(
  { consumer }: Processing,
  tx: Tx,
  message: JsMsg,
  { eventId }: Envelope,
): Promise<number> {
  // So that an event which comes for the first time costs no statement.
  if (message.info.deliveryCount === 1) return 0;
  const [row] = await tx<{ attempts: number }[]>`
    DELETE FROM inbox_failure WHERE consumer = ${consumer} AND event_id = ${eventId} RETURNING attempts`;
  return row?.attempts ?? 0;
}

function decode(handler: EventHandler, message: JsMsg) {
  try {
    return fromBinary(handler.schema, message.data);
  } catch (error) {
    throw new UndecodableError(`not a ${handler.schema.typeName}`, { cause: error });
  }
}

async function predecessorIsGone({ firstSeqOfStream }: Processing, { prevSeq }: Envelope): Promise<boolean> {
  if (prevSeq === "pruned") return true;
  if (prevSeq === 0) return false;
  // If the broker does not answer, the event waits: that is no fault of the event.
  const firstSeq = await firstSeqOfStream().catch(() => 0);
  return prevSeq < firstSeq;
}

/** Records a failed attempt; the last one makes the message a dead letter. */
async function failed(
  processing: Processing,
  message: JsMsg,
  envelope: Envelope,
  place: Place,
  error: unknown,
): Promise<Answer> {
  const { sql, consumer, contract, retryDelaysMs, log } = processing;
  if (error instanceof UndecodableError)
    return dead(processing, message, envelope, place, "undecodable", error, 1);
  if (error instanceof PermanentError)
    return dead(processing, message, envelope, place, "permanent", error, 1);

  const { attempts, delayMs } = await transaction(sql, async (tx) => {
    const [row] = await tx<{ attempts: number }[]>`
      INSERT INTO inbox_failure AS f (consumer, event_id, attempts, first_failed_at, error_type, error)
      VALUES (${consumer}, ${envelope.eventId}, 1, now(), ${nameOf(error)}, ${String(error).slice(0, 1_000)})
      ON CONFLICT (consumer, event_id) DO UPDATE
        SET attempts = f.attempts + 1, error_type = EXCLUDED.error_type, error = EXCLUDED.error
      RETURNING attempts`;
    const attempts = row?.attempts ?? 1;
    const delay = retryDelaysMs[Math.min(attempts, retryDelaysMs.length) - 1] ?? 0;
    const delayMs = Math.round(delay * (0.8 + 0.4 * Math.random()));
    await postpone(tx, place, delayMs);
    return { attempts, delayMs };
  });
  log.warn(
    { consumer, eventId: envelope.eventId, type: envelope.type, attempts, err: error },
    "an event was not handled",
  );
  if (attempts >= contract.maxAttempts) {
    return dead(processing, message, envelope, place, "exhausted", error, attempts);
  }
  return { kind: "nak", delayMs };
}

async function dead(
  processing: Processing,
  message: JsMsg,
  { eventId, type }: Envelope,
  place: Place,
  reason: DeadReason,
  error: unknown,
  attempts: number,
): Promise<Answer> {
  const { sql, consumer, contract, clock, log } = processing;
  const written = await transaction(sql, async (tx) => {
    const isNext = await passerOf(reason, contract)(tx, place);
    if (isNext) await publishDeadLetter(tx, { consumer, message, eventId, reason, error, attempts });
    return isNext;
  });
  if (!written) return gapAnswer(message, undefined, clock);
  log.error(
    { consumer, eventId, type, key: place.key, reason, attempts, err: error },
    "an event became a dead letter",
  );
  return ACK;
}

/** How a consumer goes past a dead letter. */
function passerOf(
  reason: DeadReason,
  { onDead }: SubscriptionContract,
): (tx: Tx, place: Place) => Promise<boolean> {
  if (onDead === OnDead.PARK_KEY) return reason === "history_lost" ? parkPastLost : park;
  // Blocked, though dead letters are skipped: the key was parked before the contract changed.
  return reason === "history_lost" || reason === "blocked" ? passLost : skip;
}

function gapAnswer(message: JsMsg, retryAt: Date | null | undefined, clock: Clock): Answer {
  const untilRetryMs = retryAt ? retryAt.getTime() - clock.date().getTime() : 0;
  const backoffMs = Math.min(GAP_NAK_MS.first * 2 ** (message.info.deliveryCount - 1), GAP_NAK_MS.most);
  return {
    kind: "nak",
    delayMs: Math.round(Math.max(untilRetryMs, backoffMs) * (0.8 + 0.4 * Math.random())),
  };
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}
