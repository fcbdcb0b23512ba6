import { fromBinary } from "@bufbuild/protobuf";
import type { JsMsg } from "@nats-io/jetstream";
import { OnUnknownType, Ordering } from "../../gen/mesh/event/v1/event_pb.ts";
import type { SubscriptionContract } from "../contract/event.ts";
import type { Clock } from "../core/clock.ts";
import { isUnavailable, PermanentError } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import { raceSignal } from "../core/race.ts";
import { childOf, parseTraceparent } from "../core/trace.ts";
import { runWork } from "../core/work.ts";
import type { Sql } from "../store/connect.ts";
import { type Tx, transaction } from "../store/transaction.ts";
import { type DeadReason, originalHeaders, originHeaders, publishDeadLetter } from "./dead-letter.ts";
import { type Envelope, UndecodableError } from "./envelope.ts";
import { advanceReplayed } from "./gate.ts";
import { ANY_TYPE, type EventHandler, type RawMessage } from "./handlers.ts";
import { latestProgress, replaceReplayed } from "./latest.ts";
import type { Progress } from "./progress.ts";
import { type Replay, type Replayed, replayedProgress } from "./replay.ts";
import { strictProgress } from "./strict.ts";
import { unorderedProgress } from "./unordered.ts";

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
 * Handles one message: progress, handler and effects in one transaction. What the handler throws counts as an attempt;
 * after the last attempt the message becomes a dead letter. Throws only if the database is away: then nothing has
 * happened.
 */
export async function processMessage(
  processing: Processing,
  message: JsMsg,
  envelope: Envelope,
  signal: AbortSignal,
  replay?: Replay,
): Promise<Answer> {
  const { sql, consumer, contract, handlers, clock, log } = processing;
  const progress = progressOf(processing, message, envelope, replay);
  const work: Work = { processing, message, envelope, progress, replay };
  const handler = handlers.get(envelope.type) ?? handlers.get(ANY_TYPE);

  const enter = async (baseline?: "baseline"): Promise<boolean> =>
    commitIf(sql, async (tx) => {
      if (!(await progress.pass(tx, baseline))) return false;
      if (replay?.action === "skip") await forgetFailures(work, tx);
      else if (handler) await runHandler(work, handler, tx);
      // Behind the gate, so that it becomes a dead letter when it is its turn.
      else if (contract.onUnknownType === OnUnknownType.DEAD_LETTER)
        throw new UndecodableError(`${envelope.type} is not handled`);
      return true;
    });

  try {
    for (let recheck = 0; ; recheck++) {
      if (await enter()) return ACK;
      const { verdict, retryAt } = await progress.judge();
      switch (verdict) {
        case "done":
          return ACK;
        case "blocked":
          return await dead(work, "blocked", new Error("the event before it is a dead letter"), 0);
        case "historyLost":
          return await dead(work, "history_lost", new Error("events before it are gone"), 0);
        case "baseline":
          log.warn(
            { consumer, key: envelope.key, seq: envelope.keySeq },
            "begins a key with what the stream still has",
          );
          if (await enter("baseline")) return ACK;
          break;
        case "gap": {
          const recheckMs = GAP_RECHECKS_MS[recheck];
          if (recheckMs === undefined || signal.aborted) return gapAnswer(message, retryAt, clock);
          // Without a connection: whoever works on the event before may need it.
          await clock.sleep(recheckMs, signal);
        }
      }
    }
  } catch (error) {
    if (isUnavailable(error)) throw error;
    return failed(work, error);
  }
}

/** A message that is being handled. */
interface Work {
  readonly processing: Processing;
  readonly message: JsMsg;
  readonly envelope: Envelope;
  readonly progress: Progress;
  /** What is wanted of it, if it is a dead letter that comes again. */
  readonly replay: Replay | undefined;
}

function progressOf(
  processing: Processing,
  message: JsMsg,
  envelope: Envelope,
  replay: Replay | undefined,
): Progress {
  const { sql, consumer, contract } = processing;
  const { eventId, key, keySeq: seq } = envelope;
  const place = { consumer, stream: replay?.stream ?? contract.stream, key, seq };
  if (replay) {
    const { deliveryCount: deliveries } = message.info;
    return replayedProgress(sql, { place, eventId, replay, deliveries, ...turnOf(contract.ordering) });
  }
  switch (contract.ordering) {
    case Ordering.NONE:
      return unorderedProgress(consumer, eventId);
    case Ordering.LATEST:
      return latestProgress(place);
    default:
      return strictProgress(sql, place, {
        onDead: contract.onDead,
        predecessorIsGone: () => predecessorIsGone(processing, envelope),
      });
  }
}

/** How it is told whether a replayed event may pass. */
function turnOf(ordering: Ordering): Pick<Replayed, "isItsTurn" | "waits"> {
  if (ordering === Ordering.NONE) return { isItsTurn: async () => true, waits: false };
  if (ordering === Ordering.LATEST) return { isItsTurn: replaceReplayed, waits: false };
  return { isItsTurn: advanceReplayed, waits: true };
}

/** Runs `fn` in a transaction that leaves nothing if `fn` resolves to false. */
async function commitIf(sql: Sql, fn: (tx: Tx) => Promise<boolean>): Promise<boolean> {
  const refused = new Error("not its turn");
  try {
    await transaction(sql, async (tx) => {
      if (!(await fn(tx))) throw refused;
    });
    return true;
  } catch (error) {
    if (error === refused) return false;
    throw error;
  }
}

async function runHandler(work: Work, handler: EventHandler, tx: Tx): Promise<void> {
  const { message, envelope } = work;
  const { contract, clock } = work.processing;
  const event = decode(handler, message);
  const attempt = (await forgetFailures(work, tx)) + 1;
  const timeout = AbortSignal.timeout(contract.handlerTimeoutMs);
  const begun = {
    trace: childOf(parseTraceparent(envelope.traceparent)),
    requestId: envelope.correlationId,
    causationId: envelope.eventId,
    deadlineMs: clock.now() + contract.handlerTimeoutMs,
    signal: timeout,
  };
  const meta = { ...envelope, attempt, signal: timeout };
  await raceSignal(
    runWork(begun, () => handler.handle(tx, event as never, meta)),
    timeout,
  );
}

/** Forgets the failed attempts, if the handler succeeds now. Returns how many there were. */
async function forgetFailures({ processing, message, envelope }: Work, tx: Tx): Promise<number> {
  // So that an event which comes for the first time costs no statement.
  if (message.info.deliveryCount === 1) return 0;
  const [row] = await tx<{ attempts: number }[]>`
    DELETE FROM inbox_failure WHERE consumer = ${processing.consumer} AND event_id = ${envelope.eventId}
    RETURNING attempts`;
  return row?.attempts ?? 0;
}

function decode({ type, schema }: EventHandler, message: JsMsg) {
  if (!schema) return asItCame(message);
  try {
    return fromBinary(schema, message.data);
  } catch (error) {
    throw new UndecodableError(`not a ${type}`, { cause: error });
  }
}

/** The message as it first came, also if it is a replayed dead letter. */
function asItCame(message: JsMsg): RawMessage {
  const origin = originHeaders(message);
  return {
    stream: origin["dlq-orig-stream"],
    streamSeq: Number(origin["dlq-orig-seq"]),
    subject: origin["dlq-orig-subject"],
    headers: originalHeaders(message),
    payload: message.data,
  };
}

async function predecessorIsGone({ firstSeqOfStream }: Processing, { prevSeq }: Envelope): Promise<boolean> {
  if (prevSeq === "pruned") return true;
  if (prevSeq === 0) return false;
  // If the broker does not answer, the event waits: that is no fault of the event.
  const firstSeq = await firstSeqOfStream().catch(() => 0);
  return prevSeq < firstSeq;
}

/** Records a failed attempt; the last one makes the message a dead letter. */
async function failed(work: Work, error: unknown): Promise<Answer> {
  const { envelope, progress } = work;
  const { sql, consumer, contract, retryDelaysMs, log } = work.processing;
  if (error instanceof UndecodableError) return dead(work, "undecodable", error, 1);
  if (error instanceof PermanentError) return dead(work, "permanent", error, 1);

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
    await progress.postpone(tx, delayMs);
    return { attempts, delayMs };
  });
  log.warn(
    { consumer, eventId: envelope.eventId, type: envelope.type, attempts, err: error },
    "an event was not handled",
  );
  if (attempts >= contract.maxAttempts) return dead(work, "exhausted", error, attempts);
  return { kind: "nak", delayMs };
}

async function dead(work: Work, reason: DeadReason, error: unknown, attempts: number): Promise<Answer> {
  const { message, progress, replay } = work;
  const { eventId, type, key } = work.envelope;
  const { sql, consumer, clock, log } = work.processing;
  const deaths = (replay?.deaths ?? 0) + 1;
  const written = await commitIf(sql, async (tx) => {
    if (!(await progress.bury(tx, reason))) return false;
    await publishDeadLetter(tx, { consumer, message, eventId, reason, deaths, error, attempts });
    return true;
  });
  if (!written) return gapAnswer(message, undefined, clock);
  log.error({ consumer, eventId, type, key, reason, attempts, err: error }, "an event became a dead letter");
  return ACK;
}

function gapAnswer(message: JsMsg, retryAt: Date | undefined, clock: Clock): Answer {
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
