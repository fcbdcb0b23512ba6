import type { Clock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import { isSampled, parseTraceparent, type Trace } from "../core/trace.ts";
import type { StartSpan } from "../telemetry/spans.ts";
import { decodeHeader, type Headers } from "./envelope.ts";

// Names and attributes are those of OpenTelemetry's semantic conventions for messaging.
const SYSTEM = { "messaging.system": "nats" };

/** A message that the broker has stored. */
export interface SentMessage {
  readonly headers: Headers;
  readonly stream: string;
  readonly subject: string;
  readonly createdAt: Date;
}

/** Records the way of a message from its transaction to the broker's word, in the trace of what published it. */
export function recordSend(startSpan: StartSpan, clock: Clock, message: SentMessage): void {
  const { headers, stream, subject, createdAt } = message;
  const trace = parseTraceparent(headers.traceparent, headers.tracestate);
  const origin = parseTraceparent(headers["ce-traceparent"]);
  // A dead letter goes on with the trace of its message, and is no piece of it.
  if (!trace || !isSampled(trace) || headers["dlq-reason"] !== undefined) return;
  const endedMs = clock.now();
  const span = startSpan({
    trace,
    parent: origin?.spanId === trace.spanId ? undefined : origin,
    name: `send ${headers["ce-type"]}`,
    kind: "producer",
    startedMs: endedMs - (clock.date().getTime() - createdAt.getTime()),
  });
  span.end(endedMs, {
    ...SYSTEM,
    "messaging.operation.type": "send",
    "messaging.destination.name": stream,
    "messaging.destination.template": subject,
    "messaging.message.id": headers["ce-id"] ?? "",
    ...placeInKey(decodeHeader(headers["ce-partitionkey"] ?? ""), Number(headers["ce-keyseq"] ?? 0)),
  });
}

/** The key of a message, and its number there, by names made as those that the conventions have for other systems. */
function placeInKey(key: string, keySeq: number) {
  return {
    ...(key !== "" && { "messaging.nats.message.key": key }),
    ...(keySeq > 0 && { "messaging.nats.message.key_seq": keySeq }),
  };
}

/** A message that a consumer handles. */
export interface HandledMessage {
  /** The piece of the trace that its handler is. */
  readonly trace: Trace;
  readonly parent: Trace | undefined;
  /** What the message was sent in, if its handler is no piece of that. */
  readonly links: readonly Trace[];
  readonly type: string;
  readonly eventId: string;
  /** Empty if it has none. */
  readonly key: string;
  /** 0 if it has none. */
  readonly keySeq: number;
  readonly stream: string;
  readonly consumer: string;
  readonly deliveries: number;
}

/** Records that a message is being handled. The returned function ends it, with what went wrong if anything did. */
export function beginProcess(
  startSpan: StartSpan,
  clock: Clock,
  message: HandledMessage,
): (error?: unknown) => void {
  const { trace, parent, links, type, eventId, key, keySeq, stream, consumer, deliveries } = message;
  if (!isSampled(trace)) return () => {};
  const startedMs = clock.now();
  const span = startSpan({
    trace,
    parent,
    links,
    isRemote: true,
    name: `process ${type}`,
    kind: "consumer",
    startedMs,
  });
  return (error) =>
    span.end(
      clock.now(),
      {
        ...SYSTEM,
        "messaging.operation.type": "process",
        "messaging.destination.name": stream,
        "messaging.consumer.group.name": consumer,
        "messaging.message.id": eventId,
        "messaging.nats.delivery_count": deliveries,
        ...placeInKey(key, keySeq),
      },
      error === undefined ? undefined : messageOf(error),
    );
}
