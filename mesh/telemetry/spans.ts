import { createTraceState, type SpanContext, SpanKind, SpanStatusCode } from "@opentelemetry/api";
import type { Resource } from "@opentelemetry/resources";
import type { ReadableSpan, SpanProcessor } from "@opentelemetry/sdk-trace";
import type { Clock } from "../core/clock.ts";
import type { Trace } from "../core/trace.ts";
import { SCOPE } from "./collect.ts";
import type { Attributes } from "./instruments.ts";
import { hrTime } from "./time.ts";

/** A piece of a trace that is recorded. */
export interface SpanInit {
  /** Its own ids. They are those of the logs and headers of the same piece of work. */
  readonly trace: Trace;
  /** The piece of work that it belongs to; none if it begins the trace. */
  readonly parent: Trace | undefined;
  /** Pieces of other traces that it comes of, in other processes. */
  readonly links?: readonly Trace[];
  /** Its parent is in another process. */
  readonly isRemote?: boolean;
  readonly name: string;
  readonly kind: "client" | "server" | "producer" | "consumer";
  /** On {@link Clock.now}. */
  readonly startedMs: number;
}

/** A span that has begun. */
export interface OpenSpan {
  /** Notes something that happens within it. */
  event(name: string, attributes?: Attributes): void;
  /** Ends it; `failure` says what went wrong, if anything did. To be called once. */
  end(endedMs: number, attributes: Attributes, failure?: string): void;
}

/** Begins a span. It costs nothing to others if it is never ended. */
export type StartSpan = (init: SpanInit) => OpenSpan;

const KINDS = {
  client: SpanKind.CLIENT,
  server: SpanKind.SERVER,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
};
// How far the time of spans may be from the time of day: a machine's clock is set now and then.
const MAX_DRIFT_MS = 10;

/**
 * Hands spans to a processor when they end. OpenTelemetry's own tracer would choose ids of its own, and takes nine times
 * as long.
 */
export function spanStarter(processor: SpanProcessor, resource: Resource, clock: Clock): StartSpan {
  let originMs = clock.date().getTime() - clock.now();

  /** The time of day of a time on the clock: of one origin, so that the spans of a call follow each other exactly. */
  function timeOf(nowMs: number): number {
    const drifted = clock.date().getTime() - clock.now();
    if (Math.abs(drifted - originMs) > MAX_DRIFT_MS) originMs = drifted;
    return originMs + nowMs;
  }

  return ({ trace, parent, links = [], isRemote = false, name, kind, startedMs }) => {
    const events: ReadableSpan["events"] = [];
    return {
      event(eventName, attributes = {}) {
        events.push({ time: hrTime(timeOf(clock.now())), name: eventName, attributes });
      },
      end(endedMs, attributes, failure) {
        const context = contextOf(trace, false);
        processor.onEnd({
          name,
          kind: KINDS[kind],
          spanContext: () => context,
          ...(parent && { parentSpanContext: contextOf(parent, isRemote) }),
          startTime: hrTime(timeOf(startedMs)),
          endTime: hrTime(timeOf(endedMs)),
          duration: hrTime(endedMs - startedMs),
          status:
            failure === undefined
              ? { code: SpanStatusCode.UNSET }
              : { code: SpanStatusCode.ERROR, message: failure },
          attributes,
          links: links.map((link) => ({ context: contextOf(link, true) })),
          events,
          ended: true,
          resource,
          instrumentationScope: SCOPE,
          droppedAttributesCount: 0,
          droppedEventsCount: 0,
          droppedLinksCount: 0,
        });
      },
    };
  };
}

function contextOf({ traceId, spanId, flags, state }: Trace, isRemote: boolean): SpanContext {
  const context = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote };
  return state === undefined ? context : { ...context, traceState: createTraceState(state) };
}
