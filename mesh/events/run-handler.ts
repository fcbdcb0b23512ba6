import { fromBinary } from "@bufbuild/protobuf";
import type { JsMsg } from "@nats-io/jetstream";
import type { Clock } from "../core/clock.ts";
import { raceSignal } from "../core/race.ts";
import { childOf, isSampled, parseTraceparent, type Trace } from "../core/trace.ts";
import { runWork } from "../core/work.ts";
import type { Tx } from "../store/transaction.ts";
import type { StartSpan } from "../telemetry/spans.ts";
import { originalHeaders, originHeaders } from "./dead-letter.ts";
import { type Envelope, UndecodableError } from "./envelope.ts";
import type { EventHandler, RawMessage } from "./handlers.ts";
import { beginProcess } from "./message-spans.ts";

/** What a handler is run with. */
export interface Run {
  readonly handler: EventHandler;
  readonly message: JsMsg;
  readonly envelope: Envelope;
  /** Which attempt this is, counted from 1. */
  readonly attempt: number;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly consumer: string;
  /** True if the event is a dead letter that comes again. */
  readonly isReplayed: boolean;
  /** Records the run; undefined if spans are off. */
  readonly startSpan?: StartSpan | undefined;
}

/** What a handler threw, told from what the transaction around it failed with. */
export class HandlerError extends Error {
  override readonly name = "HandlerError";
}

/**
 * Runs a handler as the work that its event began; that of a replay stands in a trace of its own. Rejects with a
 * {@link HandlerError} around what it throws, or around a TimeoutError when its time is up: what it still does then has no
 * effect. Rejects with an {@link UndecodableError} if the event cannot be read.
 */
export async function runHandler(tx: Tx, run: Run): Promise<void> {
  const { handler, message, envelope, attempt, timeoutMs, clock, consumer, isReplayed, startSpan } = run;
  const event = decode(handler, message);
  const timeout = AbortSignal.timeout(timeoutMs);
  const { trace, parent, links } = placeOf(parseTraceparent(envelope.traceparent), isReplayed);
  const { type, eventId, key, keySeq } = envelope;
  const { stream, deliveryCount: deliveries } = message.info;
  const handled = { trace, parent, links, type, eventId, key, keySeq, stream, consumer, deliveries };
  const ended = startSpan ? beginProcess(startSpan, clock, handled) : () => {};
  const work = {
    trace,
    requestId: envelope.correlationId,
    causationId: envelope.eventId,
    carried: envelope.carried,
    deadlineMs: clock.now() + timeoutMs,
    signal: timeout,
  };
  const meta = { ...envelope, attempt, signal: timeout };
  try {
    await raceSignal(
      runWork(work, () => handler.handle(tx, event as never, meta)),
      timeout,
    );
    ended();
  } catch (error) {
    ended(error);
    throw new HandlerError("the handler failed", { cause: error });
  }
}

/**
 * Where a run stands: in the trace of what sent its event. Who replays a dead letter does so long after that trace, and
 * maybe often: then it begins a trace, which links to the first, and is sampled if that was.
 */
function placeOf(sent: Trace | undefined, isReplayed: boolean) {
  if (!isReplayed || !sent) return { trace: childOf(sent), parent: sent, links: [] };
  return { trace: childOf(undefined, () => isSampled(sent)), parent: undefined, links: [sent] };
}

const GRACE_MS = 1_000;

/**
 * Ends the transaction of a handler at the database if the process does not: no statement runs longer than the handler
 * may, so that a rollback need not wait for it, and a process that hangs does not hold a key for ever.
 */
export async function boundTransaction(tx: Tx, timeoutMs: number): Promise<void> {
  await tx`
    SELECT set_config('statement_timeout', ${String(timeoutMs)}, true),
           set_config('idle_in_transaction_session_timeout', ${String(timeoutMs + GRACE_MS)}, true)`;
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
