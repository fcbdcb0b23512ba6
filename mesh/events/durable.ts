import {
  AckPolicy,
  type ConsumerMessages,
  DeliverPolicy,
  type JetStreamManager,
  type JsMsg,
  jetstream,
  jetstreamManager,
} from "@nats-io/jetstream";
import { type NatsConnection, nanos, type Subscription } from "@nats-io/nats-core";
import type { Clock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import { FINISH_WITHIN_MS, type Running } from "../core/process.ts";
import { raceSignal } from "../core/race.ts";
import type { Nats, Online } from "../nats/connection.ts";
import type { Meter } from "../telemetry/metrics.ts";
import { ensureConsumer } from "./consumer-state.ts";
import { Lanes } from "./lanes.ts";
import { ensureStream, isMissing, type StreamPlan } from "./streams.ts";

/** A durable consumer at the broker, and what is done with its messages. */
export interface DurableOptions {
  readonly nats: Nats;
  /** The name of a stream that its owner makes, or the plan of one that whoever comes first makes. */
  readonly stream: string | StreamPlan;
  readonly name: string;
  /** Defaults to all that the stream holds. */
  readonly filterSubject?: string;
  /** Lanes that run side by side. */
  readonly concurrency: number;
  readonly ackWaitMs: number;
  /** How long messages that have begun may take to end when it stops. Defaults to 4,000. */
  readonly finishWithinMs?: number;
  readonly laneOf: (message: JsMsg) => string;
  /** Resolves when there is use in reading on, or the signal aborts. */
  readonly ready: (signal: AbortSignal) => Promise<void>;
  /**
   * Handles a message and answers the broker. Must not reject; should end early when the signal aborts. May let another
   * lane begin when it only waits.
   */
  readonly settle: (message: JsMsg, signal: AbortSignal, giveTurn: () => void) => Promise<void>;
  readonly log: Log;
  /** Defaults to one that measures nothing. */
  readonly meter?: Meter;
  readonly clock: Clock;
}

const BUFFERED = 128;
const RESTART_MS = { first: 200, most: 5_000 };
const FORGET_WITHIN_MS = 1_000;

// A nak without a delay can be lost on nats-server 2.9.10 when several come together; the message then waits for ack_wait.
const GIVE_BACK_MS = 10;

/** Lets somebody else have a message that was not handled. */
export function giveBack(message: JsMsg): void {
  message.nak(GIVE_BACK_MS);
}

/**
 * Reads a durable consumer, making it if it is not there, and hands each message to `settle`, those of a lane one after
 * the other. Goes on by itself when the broker, the stream or the consumer was away.
 */
export function followDurable(options: DurableOptions): Running {
  const { nats, name, log, clock, concurrency, ackWaitMs, finishWithinMs = FINISH_WITHIN_MS } = options;
  const stream = typeof options.stream === "string" ? options.stream : options.stream.name;
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
        if (!isMissing(error)) log.warn({ consumer: name, error: messageOf(error) }, "subscribes again");
        // A stream that its owner has not made yet is no trouble, just early.
        else if (failures === 0) log.info({ consumer: name, stream }, "waits for the stream");
      }
      await clock.sleep(Math.min(RESTART_MS.first * 2 ** failures, RESTART_MS.most), stopping.signal);
    }
  }

  /** Reads until the connection, the consumer or this process ends. */
  async function subscribe({ connection, lost, replicas }: Online, begun: () => void): Promise<void> {
    const signal = AbortSignal.any([stopping.signal, lost]);
    const manager = await jetstreamManager(connection, { checkAPI: false });
    // The client leaves requests on a lost connection to their timeouts.
    await raceSignal(ensure(manager, replicas), signal);
    const reader = jetstream(silentAfter(stopping.signal, connection));
    const bound = await raceSignal(reader.consumers.get(stream, name), signal);
    // The iterator, not a callback: only the iterator bounds what is fetched ahead.
    const messages = await bound.consume({
      max_messages: BUFFERED,
      threshold_messages: BUFFERED / 2,
      expires: 30_000,
      abort_on_missing_resource: true,
    });
    begun();
    log.info({ consumer: name, stream }, "subscribed");
    const asking = await jetstreamManager(connection, { checkAPI: false, timeout: FORGET_WITHIN_MS });
    await read(messages, signal, lost, () => raceSignal(asking.consumers.info(stream, name), lost));
  }

  async function ensure(manager: JetStreamManager, replicas: number): Promise<void> {
    if (typeof options.stream !== "string") await ensureStream(manager, options.stream, replicas);
    const isNew = await ensureConsumer(manager, stream, {
      durable_name: name,
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(ackWaitMs),
      max_deliver: -1,
      max_ack_pending: 512,
      deliver_policy: DeliverPolicy.All,
      ...(options.filterSubject !== undefined && { filter_subject: options.filterSubject }),
    });
    if (!isNew) return;
    log.error({ consumer: name, stream }, "was ahead of its stream, which has lost messages; begins anew");
    options.meter?.count("mesh.consumer.recreated", { consumer: name });
  }

  async function read(
    messages: ConsumerMessages,
    signal: AbortSignal,
    lost: AbortSignal,
    askAboutConsumer: () => Promise<unknown>,
  ): Promise<void> {
    const lanes = new Lanes(concurrency);
    const late: JsMsg[] = [];
    let forgotten: Promise<unknown> = Promise.resolve();
    const held = new Set<JsMsg>();
    const begun = new Set<JsMsg>();
    const heartbeat = setInterval(() => {
      for (const message of held) message.working();
    }, ackWaitMs / 3);
    let roomFor: () => void = () => {};
    const stop = () => {
      if (lost.aborted) messages.stop();
      else {
        endReading(messages);
        // nats-server 2.9.10 tries a request whose client is gone with what is delivered again, and then keeps that until
        // ack_wait. When asked about the consumer, a broker forgets such requests; so it is asked before it gets anything.
        forgotten = askAboutConsumer().catch(() => {});
      }
      roomFor();
    };
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    // While we read nothing the client asks for nothing, and so the broker has nothing to say.
    let isReading = true;
    const silence = untilSilent(messages, () => isReading);
    try {
      for await (const message of messages) {
        // What was fetched ahead goes to another instance now rather than after ack_wait.
        if (signal.aborted) {
          late.push(message);
          continue;
        }
        held.add(message);
        lanes.push(options.laneOf(message), async (giveTurn) => {
          begun.add(message);
          await options.settle(message, signal, giveTurn);
          begun.delete(message);
          held.delete(message);
          roomFor();
        });
        isReading = false;
        while (held.size >= concurrency * 4 && !signal.aborted) {
          await new Promise<void>((resolve) => {
            roomFor = resolve;
          });
        }
        await options.ready(signal);
        isReading = true;
      }
    } finally {
      signal.removeEventListener("abort", stop);
      lanes.clear();
      await forgotten;
      for (const message of late) giveBack(message);
      // And so does what has not begun.
      for (const message of held) {
        if (begun.has(message)) continue;
        held.delete(message);
        giveBack(message);
      }
      if (held.size > 0) await Promise.race([lanes.settled(), clock.sleep(finishWithinMs)]);
      for (const message of held) giveBack(message);
      clearInterval(heartbeat);
    }
    if (await silence) throw new Error("the broker has sent nothing for two heartbeats");
  }

  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

/** The connection, on which whoever reads asks for nothing more once the signal has aborted. Answers still leave. */
function silentAfter(signal: AbortSignal, connection: NatsConnection): NatsConnection {
  return new Proxy(connection, {
    get(target, name) {
      const value = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      // The client keeps requests in one line with the messages, and sends them when their turn comes.
      return (...args: unknown[]) =>
        name === "publish" && signal.aborted ? undefined : value.apply(target, args);
    },
  });
}

/** Ends the reading when the broker is silent. Resolves to whether that was the end of it. */
async function untilSilent(messages: ConsumerMessages, isReading: () => boolean): Promise<boolean> {
  for await (const { type } of messages.status()) {
    if (type !== "heartbeats_missed" || !isReading()) continue;
    messages.stop();
    return true;
  }
  return false;
}

/** Asks for no more messages. Those that are on their way still come, and so can be given back. */
function endReading(messages: ConsumerMessages): void {
  // The client's own stop would drop them, and the broker would deliver them again only after ack_wait.
  const { sub } = messages as ConsumerMessages & { readonly sub?: Subscription };
  if (sub && !sub.isClosed()) sub.drain().catch(() => messages.stop());
  else messages.stop();
}
