import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace";
import type { Clock } from "../core/clock.ts";
import { type Env, readConfig } from "../core/config.ts";
import { openTelemetry } from "./open-telemetry.ts";
import { telemetrySettings } from "./settings.ts";
import type { Telemetry } from "./telemetry.ts";

/** A span that has ended. */
export interface RecordedSpan {
  readonly name: string;
  readonly kind: "client" | "server";
  readonly traceId: string;
  readonly spanId: string;
  /** Undefined if it begins its trace. */
  readonly parentId: string | undefined;
  readonly isRemote: boolean;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** What went wrong; undefined if nothing did. */
  readonly failure: string | undefined;
  readonly events: readonly {
    readonly name: string;
    readonly attributes: Readonly<Record<string, unknown>>;
  }[];
  /** The time of day, in milliseconds. */
  readonly startMs: number;
  readonly endMs: number;
}

/** Telemetry whose spans a test can read. */
export interface RecordingTelemetry extends Telemetry {
  /** Closes it, and resolves to all its spans in the order in which they ended. */
  spans(): Promise<readonly RecordedSpan[]>;
}

/** Telemetry that keeps its spans in place of sending them. The settings default to spans on, and all traces sampled. */
export function recordingTelemetry(env: Env = {}, clock?: Clock): RecordingTelemetry {
  const kept: ReadableSpan[] = [];
  const spanExporter: SpanExporter = {
    export(spans, done) {
      kept.push(...spans);
      done({ code: 0 });
    },
    shutdown: async () => {},
  };
  const settings = readConfig(telemetrySettings, { OTEL_TRACES_EXPORTER: "otlp", ...env });
  const options = { service: "test", instance: "1", spanExporter, ...(clock && { clock }) };
  const telemetry = openTelemetry(settings, options);
  return {
    ...telemetry,
    async spans() {
      await telemetry.close();
      return kept.map(recorded);
    },
  };
}

function recorded(span: ReadableSpan): RecordedSpan {
  const { traceId, spanId } = span.spanContext();
  return {
    name: span.name,
    kind: span.kind === SpanKind.SERVER ? "server" : "client",
    traceId,
    spanId,
    parentId: span.parentSpanContext?.spanId,
    isRemote: span.parentSpanContext?.isRemote ?? false,
    attributes: span.attributes,
    failure: span.status.code === SpanStatusCode.ERROR ? (span.status.message ?? "") : undefined,
    events: span.events.map(({ name, attributes = {} }) => ({ name, attributes })),
    startMs: msOf(span.startTime),
    endMs: msOf(span.endTime),
  };
}

function msOf([seconds, nanoseconds]: readonly [number, number]): number {
  return seconds * 1_000 + nanoseconds / 1e6;
}
