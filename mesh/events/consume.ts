import { hostname } from "node:os";
import type { DescService } from "@bufbuild/protobuf";
import { type JsMsg, jetstreamManager } from "@nats-io/jetstream";
import { subscriptionContract } from "../contract/event.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { isUnavailable, messageOf } from "../core/errors.ts";
import { derivedId } from "../core/ids.ts";
import type { Log } from "../core/log.ts";
import type { Running } from "../core/process.ts";
import { raceSignal } from "../core/race.ts";
import type { Nats } from "../nats/connection.ts";
import type { Sql } from "../store/connect.ts";
import { transaction } from "../store/transaction.ts";
import { type Meter, noMetrics } from "../telemetry/metrics.ts";
import type { StartSpan } from "../telemetry/spans.ts";
import { showConsumerGauges } from "./consumer-gauges.ts";
import { publishDeadLetter } from "./dead-letter.ts";
import { followDurable, giveBack } from "./durable.ts";
import { type Envelope, readEnvelope } from "./envelope.ts";
import { consumerName, type EventHandler, handlersByType, replayName } from "./handlers.ts";
import { InboxTelemetry } from "./inbox-telemetry.ts";
import { type AskResend, LostHistory } from "./lost-history.ts";
import { Outage } from "./outage.ts";
import { type Delivery, processInBatches } from "./process-batch.ts";
import { ACK, type Answer, type Processing, processMessage, RETRY_DELAYS_MS } from "./process-message.ts";
import { type Replay, readReplay } from "./replay.ts";
import { REPLAYS } from "./streams.ts";
import { replaySubjects, subjectsOf } from "./subject.ts";

/** What a subscription needs. */
export interface ConsumeOptions {
  readonly sql: Sql;
  readonly nats: Nats;
  /** The service whose contract declares the subscription. */
  readonly service: DescService;
  readonly subscription: string;
  /** One for each type that the contract lists, no more and no less. */
  readonly handlers: readonly EventHandler[];
  /** Which build of a read model the handlers write. Defaults to 1. */
  readonly build?: number;
  /** Whether a key whose first events are gone is begun with those that are left. Defaults to always; until then they wait. */
  readonly begins?: () => boolean;
  /**
   * Keys handled side by side, beside one whose handler is done and whose commit is not. Defaults to 4: the pool's other
   * connections are for calls.
   */
  readonly concurrency?: number;
  /**
   * Messages that are handled in one transaction, if as many wait: up to 64. For handlers that are quick: they run one
   * after the other, and what they lock is held until the last one is done. Each message keeps what its ordering
   * promises; if one fails, all of them are handled by themselves, `concurrency` keys side by side. Defaults to 1.
   */
  readonly batch?: number;
  /** How long the broker waits for an answer before it delivers a message again. Milliseconds. Defaults to 30,000. */
  readonly ackWaitMs?: number;
  /** How long handlers that run may take to end when the consumer stops; then others have their messages. Milliseconds. Defaults to 4,000. */
  readonly finishWithinMs?: number;
  /** How long a failed message waits before attempt 2, 3, ...; the last one also before any later. Milliseconds. Defaults to 500, 2,000, 8,000, 30,000, 120,000. */
  readonly retryDelaysMs?: readonly number[];
  /**
   * Asks the owner of the stream for events that the stream holds no more, when the consumer was away for too long.
   * Defaults to none: then they are lost.
   */
  readonly resend?: AskResend;
  /** Names this process on the dead letters that it writes. Defaults to the machine's name. */
  readonly instance?: string;
  readonly log: Log;
  /** Records each run of a handler. Defaults to none. */
  readonly startSpan?: StartSpan | undefined;
  /** Defaults to none: then nothing is measured, and nobody asked. */
  readonly meter?: Meter;
  readonly clock?: Clock;
}

const ACK_WAIT_MS = 30_000;
// Replays are few, and an operator waits for them in their order.
const REPLAYS_AT_ONCE = 1;
const MOST_IN_BATCH = 64;

/**
 * Handles the events of a subscription: each once, as far as its effects are in the handler's transaction, those of a
 * key in the order that the contract says, keys side by side; and its dead letters that are replayed. Goes on by itself
 * when the broker, the stream or the database was away. Throws at once if handlers and contract differ.
 */
export function consume(options: ConsumeOptions): Running {
  const { sql, service, nats, log, clock = systemClock, concurrency = 4, ackWaitMs = ACK_WAIT_MS } = options;
  const { meter = noMetrics, batch = 1, finishWithinMs } = options;
  const contract = subscriptionContract(service, options.subscription);
  const consumer = consumerName(service, contract.name, options.build);
  if (!(batch >= 1 && batch <= MOST_IN_BATCH)) throw new RangeError(`${consumer}: a batch of ${batch}`);
  const telemetry = new InboxTelemetry(consumer, clock, meter);
  const processing: Processing = {
    sql,
    consumer,
    instance: options.instance ?? hostname(),
    contract,
    handlers: handlersByType(contract, options.handlers),
    firstSeqOfStream: () => firstSeqOf(nats, contract.stream),
    begins: options.begins,
    lostHistory: options.resend && new LostHistory(options.resend, log),
    retryDelaysMs: options.retryDelaysMs ?? RETRY_DELAYS_MS,
    telemetry,
    log,
    clock,
    startSpan: options.startSpan,
  };
  const process =
    batch === 1
      ? ({ message, envelope, signal }: Delivery, giveTurn: () => void) =>
          processMessage(processing, message, envelope, signal, undefined, giveTurn)
      : processInBatches(processing, { most: batch, concurrency });
  const outage = new Outage({
    isAway: isUnavailable,
    onFailure(error, isFirst, isAway) {
      telemetry.failed("infrastructure");
      if (isFirst) log[isAway ? "warn" : "error"]({ consumer, err: error }, "an event waits");
    },
    clock,
  });
  const common = {
    nats,
    ackWaitMs,
    ...(finishWithinMs !== undefined && { finishWithinMs }),
    laneOf,
    ready: (signal: AbortSignal) => outage.over(signal),
    log,
    meter,
    clock,
  };
  const endGauge = meter.gauge("mesh.consumer.breaker_open", () => [
    { value: outage.isOn ? 1 : 0, attributes: { consumer } },
  ]);
  const running = [
    ...(options.meter
      ? [showConsumerGauges({ nats, sql, stream: contract.stream, consumer, meter, clock })]
      : []),
    followDurable({
      ...common,
      stream: contract.stream,
      name: consumer,
      filterSubject: subjectsOf(contract),
      ...(batch === 1 ? { concurrency } : { concurrency: batch, laneOf: laneOfItsOwn }),
      settle: (message, signal, giveTurn) =>
        settle(() => handle(processing, message, signal, process, giveTurn), outage, message, signal),
    }),
    followDurable({
      ...common,
      stream: REPLAYS,
      name: replayName(consumer),
      filterSubject: replaySubjects(consumer),
      concurrency: REPLAYS_AT_ONCE,
      settle: (message, signal) =>
        settle(() => handleReplay(processing, message, signal), outage, message, signal),
    }),
  ];
  return {
    async stop() {
      await Promise.all(running.map((each) => each.stop()));
      telemetry.close();
      endGauge();
    },
  };
}

/** The first sequence that a stream still holds, asked of the broker now. */
async function firstSeqOf(nats: Nats, stream: string): Promise<number> {
  const { connection, lost } = await nats.online(AbortSignal.timeout(ACK_WAIT_MS));
  const manager = await jetstreamManager(connection, { checkAPI: false });
  return (await raceSignal(manager.streams.info(stream), lost)).state.first_seq;
}

/** Messages of one key go one after the other; those without a key that can be read, each in a lane of its own. */
function laneOf(message: JsMsg): string {
  return message.headers?.get("ce-partitionkey") || `#${message.seq}`;
}

/** Each message in a lane of its own, so that those that wait make up a batch. */
function laneOfItsOwn(message: JsMsg): string {
  return `#${message.seq}`;
}

/** Handles a message and answers the broker, after the effect is durable. Never rejects. */
async function settle(
  work: () => Promise<Answer>,
  outage: Outage,
  message: JsMsg,
  signal: AbortSignal,
): Promise<void> {
  // That the database is away is no attempt. The message stays here, and its heartbeat keeps it ours.
  const answer = await outage.withstand(work, signal);
  if (answer === undefined) giveBack(message);
  else if (answer.kind === "ack") message.ack();
  else message.nak(answer.delayMs);
}

async function handle(
  processing: Processing,
  message: JsMsg,
  signal: AbortSignal,
  process: (delivery: Delivery, giveTurn: () => void) => Promise<Answer>,
  giveTurn: () => void,
): Promise<Answer> {
  let envelope: Envelope;
  try {
    envelope = readEnvelope(message.headers, processing.contract.ordering);
  } catch (error) {
    await bury(processing, message, undefined, error);
    return ACK;
  }
  return process({ message, envelope, signal }, giveTurn);
}

async function handleReplay(processing: Processing, message: JsMsg, signal: AbortSignal): Promise<Answer> {
  let replay: Replay | undefined;
  let envelope: Envelope;
  try {
    replay = readReplay(message.headers);
    envelope = readEnvelope(message.headers, processing.contract.ordering);
  } catch (error) {
    // Without an envelope it holds up no key, so there is nothing to skip.
    if (replay?.action !== "skip") await bury(processing, message, replay, error);
    return ACK;
  }
  return processMessage(processing, message, envelope, signal, replay);
}

/** Makes a dead letter of a message whose envelope cannot be read. */
async function bury(
  { sql, consumer, instance, log }: Processing,
  message: JsMsg,
  replay: Replay | undefined,
  error: unknown,
): Promise<void> {
  // It has no id: it is known by its place in the stream that it came from.
  const eventId = replay
    ? derivedId(replay.stream, message.headers?.get("dlq-orig-seq") ?? "")
    : derivedId(message.info.stream, String(message.seq));
  const deaths = (replay?.deaths ?? 0) + 1;
  const reason = "undecodable";
  const letter = { consumer, instance, message, eventId, reason, deaths, newAttempts: 1, error } as const;
  await transaction(sql, (tx) => publishDeadLetter(tx, letter));
  log.error(
    { consumer, seq: message.seq, error: messageOf(error) },
    "a message without an envelope became a dead letter",
  );
}
