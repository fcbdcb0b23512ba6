import type { DescService } from "@bufbuild/protobuf";
import {
  AckPolicy,
  type ConsumerMessages,
  DeliverPolicy,
  type JsMsg,
  jetstream,
  jetstreamManager,
} from "@nats-io/jetstream";
import { nanos } from "@nats-io/nats-core";
import { subscriptionContract } from "../contract/event.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { isUnavailable, messageOf } from "../core/errors.ts";
import { derivedId } from "../core/ids.ts";
import type { Log } from "../core/log.ts";
import type { Running } from "../core/process.ts";
import { raceSignal } from "../core/race.ts";
import type { Nats, Online } from "../nats/connection.ts";
import type { Sql } from "../store/connect.ts";
import { transaction } from "../store/transaction.ts";
import { publishDeadLetter } from "./dead-letter.ts";
import { type Envelope, readEnvelope } from "./envelope.ts";
import { type EventHandler, handlersByType, serviceName } from "./handlers.ts";
import { Lanes } from "./lanes.ts";
import { type Answer, type Processing, processMessage, RETRY_DELAYS_MS } from "./process-message.ts";
import { isMissing } from "./streams.ts";
import { subjectsOf } from "./subject.ts";

/** What a subscription needs. */
export interface ConsumeOptions {
  readonly sql: Sql;
  readonly nats: Nats;
  /** The service whose contract declares the subscription. */
  readonly service: DescService;
  readonly subscription: string;
  /** One for each type that the contract lists, no more and no less. */
  readonly handlers: readonly EventHandler[];
  /** Keys handled side by side. Defaults to 4: the pool's other connections are for calls. */
  readonly concurrency?: number;
  /** How long the broker waits for an answer before it delivers a message again. Milliseconds. Defaults to 30,000. */
  readonly ackWaitMs?: number;
  /** How long a failed message waits before attempt 2, 3, ...; the last one also before any later. Milliseconds. Defaults to 500, 2,000, 8,000, 30,000, 120,000. */
  readonly retryDelaysMs?: readonly number[];
  readonly log: Log;
  readonly clock?: Clock;
}

const ACK_WAIT_MS = 30_000;
const BUFFERED = 128;
const RESTART_MS = { first: 200, most: 5_000 };
const AWAY_MS = { first: 100, most: 2_000 };
const FINISH_WITHIN_MS = 4_000;
// A nak without a delay can be lost on nats-server 2.9.10 when several come together; the message then waits for ack_wait.
const GIVE_BACK_MS = 10;

/**
 * Handles the events of a subscription: each once, as far as its effects are in the handler's transaction, those of a
 * key in their order, keys side by side. Goes on by itself when the broker, the stream or the database was away. Throws
 * at once if handlers and contract differ.
 */
export function consume(options: ConsumeOptions): Running {
  const { sql, service, nats, log, clock = systemClock, concurrency = 4, ackWaitMs = ACK_WAIT_MS } = options;
  const contract = subscriptionContract(service, options.subscription);
  const consumer = `${serviceName(service)}__${contract.name}`;
  const handlers = handlersByType(contract, options.handlers);

  const stopping = new AbortController();
  const running = run();

  async function run(): Promise<void> {
    for (let failures = 0; !stopping.signal.aborted; failures++) {
      try {
        const online = await nats.online(stopping.signal);
        await subscribe(online, () => {
          failures = 0;
        });
      } catch (error) {
        if (stopping.signal.aborted) return;
        if (!isMissing(error)) log.warn({ consumer, error: messageOf(error) }, "subscribes again");
        // A stream that its owner has not made yet is no trouble, just early.
        else if (failures === 0) log.info({ consumer, stream: contract.stream }, "waits for the stream");
      }
      await clock.sleep(Math.min(RESTART_MS.first * 2 ** failures, RESTART_MS.most), stopping.signal);
    }
  }

  /** Reads until the connection, the consumer or this process ends. */
  async function subscribe({ connection, lost }: Online, begun: () => void): Promise<void> {
    const signal = AbortSignal.any([stopping.signal, lost]);
    const manager = await jetstreamManager(connection, { checkAPI: false });
    // The client leaves requests on a lost connection to their timeouts.
    const added = manager.consumers.add(contract.stream, {
      durable_name: consumer,
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(ackWaitMs),
      max_deliver: -1,
      max_ack_pending: 512,
      deliver_policy: DeliverPolicy.All,
      filter_subject: subjectsOf(contract.aggregate),
    });
    await raceSignal(added, signal);
    const bound = await raceSignal(jetstream(connection).consumers.get(contract.stream, consumer), signal);
    // The iterator, not a callback: only the iterator bounds what is fetched ahead.
    const messages = await bound.consume({
      max_messages: BUFFERED,
      threshold_messages: BUFFERED / 2,
      expires: 30_000,
      abort_on_missing_resource: true,
    });
    begun();
    log.info({ consumer, stream: contract.stream }, "subscribed");
    const processing: Processing = {
      sql,
      consumer,
      contract,
      handlers,
      firstSeqOfStream: async () =>
        (await raceSignal(manager.streams.info(contract.stream), signal)).state.first_seq,
      retryDelaysMs: options.retryDelaysMs ?? RETRY_DELAYS_MS,
      log,
      clock,
    };
    await read(messages, processing, signal);
  }

  async function read(
    messages: ConsumerMessages,
    processing: Processing,
    signal: AbortSignal,
  ): Promise<void> {
    const lanes = new Lanes(concurrency);
    const held = new Set<JsMsg>();
    const heartbeat = setInterval(() => {
      for (const message of held) message.working();
    }, ackWaitMs / 3);
    let roomFor: () => void = () => {};
    const stop = () => {
      messages.stop();
      roomFor();
    };
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    try {
      for await (const message of messages) {
        // What was fetched ahead goes to another instance now rather than after ack_wait.
        if (signal.aborted) {
          message.nak(GIVE_BACK_MS);
          continue;
        }
        held.add(message);
        lanes.push(laneOf(message), async () => {
          await settle(processing, message, signal);
          held.delete(message);
          roomFor();
        });
        while (held.size >= concurrency * 4 && !signal.aborted) {
          await new Promise<void>((resolve) => {
            roomFor = resolve;
          });
        }
      }
    } finally {
      signal.removeEventListener("abort", stop);
      lanes.clear();
      // And so does what has not begun.
      await Promise.race([lanes.settled(), clock.sleep(FINISH_WITHIN_MS)]);
      for (const message of held) message.nak(GIVE_BACK_MS);
      clearInterval(heartbeat);
    }
  }

  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

/** Messages of one key go one after the other; those without a key that can be read, each in a lane of its own. */
function laneOf(message: JsMsg): string {
  return message.headers?.get("ce-partitionkey") || `#${message.seq}`;
}

/** Handles a message and answers the broker, after the effect is durable. Never rejects. */
async function settle(processing: Processing, message: JsMsg, signal: AbortSignal): Promise<void> {
  const { clock, log, consumer } = processing;
  for (let away = 0; !signal.aborted; away++) {
    try {
      const answer = await handle(processing, message, signal);
      if (answer.kind === "ack") message.ack();
      else message.nak(answer.delayMs);
      return;
    } catch (error) {
      // The database is away: that is no attempt. The message stays here, and its heartbeat keeps it ours.
      const log_ = isUnavailable(error) ? log.warn.bind(log) : log.error.bind(log);
      if (away === 0) log_({ consumer, err: error }, "an event waits");
      const delayMs = Math.min(AWAY_MS.first * 2 ** away, AWAY_MS.most) * (0.5 + Math.random() / 2);
      await clock.sleep(delayMs, signal);
    }
  }
  message.nak(GIVE_BACK_MS);
}

async function handle(processing: Processing, message: JsMsg, signal: AbortSignal): Promise<Answer> {
  let envelope: Envelope;
  try {
    envelope = readEnvelope(message.headers, processing.contract.ordering);
  } catch (error) {
    const { sql, consumer, log } = processing;
    const eventId = derivedId(message.info.stream, String(message.seq));
    await transaction(sql, (tx) =>
      publishDeadLetter(tx, { consumer, message, eventId, reason: "undecodable", attempts: 1, error }),
    );
    log.error(
      { consumer, seq: message.seq, error: messageOf(error) },
      "a message without an envelope became a dead letter",
    );
    return { kind: "ack" };
  }
  return processMessage(processing, message, envelope, signal);
}
