import type { JsMsg } from "@nats-io/jetstream";
import { OnUnknownType, Ordering } from "../../gen/mesh/event/v1/event_pb.ts";
import type { SubscriptionContract } from "../contract/event.ts";
import type { Clock } from "../core/clock.ts";
import { isUnavailable, PermanentError } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import type { Sql } from "../store/connect.ts";
import { isConflict, isStoreAway, isTimeout } from "../store/errors.ts";
import { type Tx, transaction } from "../store/transaction.ts";
import type { StartSpan } from "../telemetry/spans.ts";
import { type DeadReason, publishDeadLetter } from "./dead-letter.ts";
import { type Envelope, UndecodableError } from "./envelope.ts";
import { countFailure, countStart, forgetFailures } from "./failures.ts";
import { advanceReplayed } from "./gate.ts";
import { ANY_TYPE, type EventHandler } from "./handlers.ts";
import type { InboxTelemetry } from "./inbox-telemetry.ts";
import { latestProgress, replaceReplayed } from "./latest.ts";
import type { LostHistory } from "./lost-history.ts";
import type { Progress } from "./progress.ts";
import { type Replay, type Replayed, replayedProgress } from "./replay.ts";
import { boundTransaction, HandlerError, runHandler } from "./run-handler.ts";
import { strictProgress } from "./strict.ts";
import { unorderedProgress } from "./unordered.ts";

/** What the processing of one consumer's messages needs. */
export interface Processing {
  readonly sql: Sql;
  readonly consumer: string;
  /** Names this process, for what it says of dead letters. */
  readonly instance: string;
  readonly contract: SubscriptionContract;
  readonly handlers: ReadonlyMap<string, EventHandler>;
  /** The first sequence that the stream still holds, asked of the broker now. */
  readonly firstSeqOfStream: () => Promise<number>;
  /** Whether a key may be begun with an event that is not its first, because those before it are gone. Defaults to always. */
  readonly begins?: (() => boolean) | undefined;
  /** Gets back what the stream does not hold any more; undefined if nobody can. */
  readonly lostHistory?: LostHistory | undefined;
  /** The delay before attempt 2, 3, ...; the last one also before any later attempt. Milliseconds. */
  readonly retryDelaysMs: readonly number[];
  readonly telemetry: InboxTelemetry;
  readonly log: Log;
  readonly clock: Clock;
  /** Records each run of a handler; undefined if spans are off. */
  readonly startSpan?: StartSpan | undefined;
}

/** What the broker is to be told of a message. */
export type Answer =
  | { readonly kind: "ack" }
  /** Deliver it again after a while. */
  | { readonly kind: "nak"; readonly delayMs: number };

/** The message is done with. */
export const ACK: Answer = { kind: "ack" };

/** What {@link Processing.retryDelaysMs} usually is. */
export const RETRY_DELAYS_MS: readonly number[] = [500, 2_000, 8_000, 30_000, 120_000];

const GAP_RECHECKS_MS = [5, 10, 20, 40, 80];
// More than a handler may fail by itself.
const CRASHES = 4;
const CONFLICT = { retries: 3, leastMs: 10, mostMs: 50 };
const GAP_NAK_MS = { first: 250, most: 5_000 };

/**
 * Handles one message: progress, handler and effects in one transaction. What the handler throws counts as an attempt;
 * after the last attempt the message becomes a dead letter. `onHandled` is told when the handler is done, and nothing but
 * the commit is left. Throws only if the database is away: then nothing has happened.
 */
export async function processMessage(
  processing: Processing,
  message: JsMsg,
  envelope: Envelope,
  signal: AbortSignal,
  replay?: Replay,
  onHandled: () => void = () => {},
): Promise<Answer> {
  const { consumer, telemetry, clock, log } = processing;
  const { eventId, time } = envelope;
  const work = { ...workOf(processing, message, envelope, replay), onHandled };
  const { progress } = work;
  if (isPassedOver(work)) return ACK;

  try {
    for (let recheck = 0; ; recheck++) {
      if (await enter(work, signal)) {
        telemetry.handled(eventId, time);
        return ACK;
      }
      const { verdict, retryAt, blockedBy, nextSeq } = await progress.judge();
      switch (verdict) {
        case "done":
          telemetry.duplicate(eventId);
          return ACK;
        case "blocked": {
          const error = new Error("the event before it is a dead letter");
          return await dead(work, { reason: "blocked", error, blockedBy });
        }
        case "historyLost":
          if (await canStillCome(work, nextSeq)) return gapAnswer(message, retryAt, clock);
          return await dead(work, { reason: "history_lost", error: new Error("events before it are gone") });
        case "baseline":
          if (processing.begins?.() === false) return gapAnswer(message, retryAt, clock);
          log.warn(
            { consumer, key: envelope.key, seq: envelope.keySeq },
            "begins a key with what the stream still has",
          );
          if (await enter(work, signal, "baseline")) {
            telemetry.baseline();
            telemetry.handled(eventId, time);
            return ACK;
          }
          break;
        case "gap": {
          const recheckMs = GAP_RECHECKS_MS[recheck];
          if (recheckMs === undefined || signal.aborted) {
            telemetry.waits(eventId);
            return gapAnswer(message, retryAt, clock);
          }
          // Without a connection: whoever works on the event before may need it.
          await clock.sleep(recheckMs, signal);
        }
      }
    }
  } catch (error) {
    const thrown = causeOf(error);
    // A handler may depend on more than the database; what that fails with counts.
    if (error instanceof HandlerError ? isStoreAway(thrown) : isUnavailable(thrown)) throw thrown;
    // Our own statements are short: somebody else has held the key all the time.
    if (!(error instanceof HandlerError) && isTimeout(thrown)) return gapAnswer(message, undefined, clock);
    return failed(work, thrown);
  }
}

/** A message whose time to live is over. */
class ExpiredError extends Error {
  override readonly name = "ExpiredError";
}

/** A message at which processes die. */
class CrashLoopError extends Error {
  override readonly name = "CrashLoopError";
}

function causeOf(error: unknown): unknown {
  return error instanceof HandlerError ? error.cause : error;
}

/** A message that is being handled. */
export interface Work {
  readonly processing: Processing;
  readonly message: JsMsg;
  readonly envelope: Envelope;
  /** Undefined if messages of its type are not handled. */
  readonly handler: EventHandler | undefined;
  readonly progress: Progress;
  /** What is wanted of it, if it is a dead letter that comes again. */
  readonly replay: Replay | undefined;
  /** Told when the handler is done, and nothing but the commit is left. */
  readonly onHandled?: () => void;
}

/**
 * Handles the message if it passes; false if it does not. Transactions that got into each other's way are tried again
 * at once.
 */
async function enter(work: Work, signal: AbortSignal, baseline?: "baseline"): Promise<boolean> {
  const { telemetry, clock } = work.processing;
  if (needsCount(work)) {
    // Only what will run counts: a message that waits for its turn is delivered often.
    if (!(await wouldPass(work, baseline))) return false;
    await begin(work);
  }
  for (let conflicts = 0; ; conflicts++) {
    try {
      return await enterOnce(work, baseline);
    } catch (error) {
      if (conflicts >= CONFLICT.retries || !isConflict(causeOf(error))) throw error;
      telemetry.failed("conflict");
      await clock.sleep(CONFLICT.leastMs + Math.random() * (CONFLICT.mostMs - CONFLICT.leastMs), signal);
    }
  }
}

function enterOnce(work: Work, baseline: "baseline" | undefined): Promise<boolean> {
  return commitIf(work.processing.sql, async (tx) => {
    const passed = await handleIn(tx, work, baseline);
    if (passed) work.onHandled?.();
    return passed;
  });
}

/** Handles the message in a transaction, if it passes; false if it does not, and then nothing may be committed. */
async function handleIn(tx: Tx, work: Work, baseline?: "baseline"): Promise<boolean> {
  const { processing, message, envelope, handler, progress, replay } = work;
  const { consumer, contract } = processing;
  // Sent together, so that the bound costs no turn of its own.
  const bounded = handler && boundTransaction(tx, contract.handlerTimeoutMs);
  const [passed] = await Promise.all([progress.pass(tx, baseline), bounded]);
  if (!passed) return false;
  // An event that comes for the first time has no failures, and costs no statement.
  const isFirst = message.info.deliveryCount === 1;
  const failing = { consumer, eventId: envelope.eventId };
  const attempts = isFirst ? 0 : (await forgetFailures(tx, failing)).attempts;
  if (replay?.action !== "skip") await handlePassed(tx, work, attempts);
  return true;
}

/** Handles a message that has passed, in the same transaction. `attempts` is how many have failed before. */
export async function handlePassed(tx: Tx, work: Work, attempts = 0): Promise<void> {
  const { processing, message, envelope, handler, replay } = work;
  const { consumer, contract, telemetry, clock, startSpan } = processing;
  // What is replayed is wanted late, and who keeps whatever comes by obeys nothing.
  if (!replay && handler?.type !== ANY_TYPE && isOver(envelope, clock))
    throw new ExpiredError(`its time was up at ${envelope.expiryTime}`);
  const timeoutMs = contract.handlerTimeoutMs;
  const run = {
    message,
    envelope,
    attempt: attempts + 1,
    timeoutMs,
    clock,
    consumer,
    isReplayed: replay !== undefined,
    startSpan,
  };
  if (handler) await telemetry.running(envelope.type, () => runHandler(tx, { handler, ...run }));
  // Behind the gate, so that it becomes a dead letter when it is its turn.
  else if (contract.onUnknownType === OnUnknownType.DEAD_LETTER)
    throw new UndecodableError(`${envelope.type} is not handled`);
}

function isOver({ expiryTime }: Envelope, clock: Clock): boolean {
  return expiryTime !== undefined && Date.parse(expiryTime) <= clock.date().getTime();
}

/** True if this message was delivered before and a handler is to run: it may be the one that ends the process. */
function needsCount({ message, handler, replay }: Work): boolean {
  return message.info.deliveryCount > 1 && replay?.action !== "skip" && handler !== undefined;
}

async function wouldPass({ processing, progress }: Work, baseline: "baseline" | undefined): Promise<boolean> {
  let passes = false;
  await commitIf(processing.sql, async (tx) => {
    passes = await progress.pass(tx, baseline);
    return false;
  });
  return passes;
}

async function begin({ processing, envelope }: Work): Promise<void> {
  const { sql, consumer, contract } = processing;
  const started = await countStart(sql, { consumer, eventId: envelope.eventId });
  // The first time was not counted, this one is.
  if (started >= contract.maxAttempts + CRASHES)
    throw new CrashLoopError(`it was begun ${started} times and neither handled nor given up`);
}

/** True if the message is of a type that is not handled, and nothing has to be noted of it. */
export function isPassedOver({ processing: { contract }, handler }: Work): boolean {
  // Only STRICT counts them. A replica of the latest state must not take an event that it handles for an old one because
  // one that it does not handle came first.
  return (
    !handler && contract.onUnknownType === OnUnknownType.ADVANCE && contract.ordering !== Ordering.STRICT
  );
}

/** Gets ready to handle a message. */
export function workOf(processing: Processing, message: JsMsg, envelope: Envelope, replay?: Replay): Work {
  const progress = progressOf(processing, message, envelope, replay);
  const handler = processing.handlers.get(envelope.type) ?? processing.handlers.get(ANY_TYPE);
  return { processing, message, envelope, handler, progress, replay };
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
        eventId,
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

// One for all, because a stack trace for each transaction costs more than it tells.
const REFUSED = new Error("not its turn");

/** Runs `fn` in a transaction that leaves nothing if `fn` resolves to false. */
async function commitIf(sql: Sql, fn: (tx: Tx) => Promise<boolean>): Promise<boolean> {
  try {
    await transaction(sql, async (tx) => {
      if (!(await fn(tx))) throw REFUSED;
    });
    return true;
  } catch (error) {
    if (error === REFUSED) return false;
    throw error;
  }
}

/** Whether the owner of the stream publishes the events before this one again. */
async function canStillCome(work: Work, fromSeq: number | undefined): Promise<boolean> {
  const { lostHistory, contract } = work.processing;
  const { key, keySeq } = work.envelope;
  if (!lostHistory || fromSeq === undefined) return false;
  const lost = { stream: contract.stream, key, fromSeq, toSeq: keySeq - 1 };
  return lostHistory.canStillCome(lost, work.message.info.deliveryCount);
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
  const { sql, consumer, contract, retryDelaysMs, telemetry, log } = work.processing;
  if (error instanceof UndecodableError) return dead(work, { reason: "undecodable", error, newAttempts: 1 });
  if (error instanceof PermanentError) return dead(work, { reason: "permanent", error, newAttempts: 1 });
  if (error instanceof ExpiredError) return dead(work, { reason: "expired", error });
  if (error instanceof CrashLoopError) return dead(work, { reason: "crash_loop", error });

  telemetry.failed("transient");
  const attempts = await countFailure(sql, { consumer, eventId: envelope.eventId }, error);
  log.warn(
    { consumer, eventId: envelope.eventId, type: envelope.type, attempts, err: error },
    "an event was not handled",
  );
  if (attempts >= contract.maxAttempts) return dead(work, { reason: "exhausted", error });
  const delay = retryDelaysMs[Math.min(attempts, retryDelaysMs.length) - 1] ?? 0;
  const delayMs = Math.round(delay * (0.8 + 0.4 * Math.random()));
  // Not in one transaction with the count: those that handle the event lock key and count in the other order.
  await progress.postpone(delayMs);
  return { kind: "nak", delayMs };
}

/** Why a message is given up. */
interface Death {
  readonly reason: DeadReason;
  readonly error: unknown;
  /** Attempts that are not counted yet. Defaults to 0. */
  readonly newAttempts?: number;
  /** The dead event that the message waits for. */
  readonly blockedBy?: string | undefined;
}

async function dead(work: Work, death: Death): Promise<Answer> {
  const { message, progress, replay } = work;
  const { eventId, type, key } = work.envelope;
  const { sql, consumer, instance, telemetry, clock, log } = work.processing;
  const { reason, error, newAttempts = 0, blockedBy } = death;
  const deaths = (replay?.deaths ?? 0) + 1;
  const letter = { consumer, instance, message, eventId, reason, error, deaths, newAttempts, blockedBy };
  const written = await commitIf(sql, async (tx) => {
    if (!(await progress.bury(tx, reason))) return false;
    await publishDeadLetter(tx, letter);
    return true;
  });
  if (!written) return gapAnswer(message, undefined, clock);
  telemetry.died(eventId, reason);
  log.error({ consumer, eventId, type, key, reason, err: error }, "an event became a dead letter");
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
