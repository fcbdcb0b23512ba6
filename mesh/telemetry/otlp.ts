import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-proto";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import type { PushMetricExporter } from "@opentelemetry/sdk-metrics";
import type { SpanExporter } from "@opentelemetry/sdk-trace";
import { messageOf } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import type { TelemetrySettings } from "./settings.ts";

// Where a collector listens if nobody says.
const DEFAULT_ENDPOINT = "http://localhost:4318";

/** Sends spans to the collector that the settings name. */
export function otlpSpans(settings: TelemetrySettings, log: Log): SpanExporter {
  const { otelTracesEndpoint, otelTracesHeaders, otelHeaders, otelTimeoutMs } = settings;
  const exporter = new OTLPTraceExporter({
    url: otelTracesEndpoint || signalUrl(settings, "v1/traces"),
    headers: { ...otelHeaders, ...otelTracesHeaders },
    timeoutMillis: otelTimeoutMs,
  });
  return announceFailures(exporter, "spans", log);
}

/** Sends metrics to the collector that the settings name. */
export function otlpMetrics(settings: TelemetrySettings, log: Log): PushMetricExporter {
  const { otelMetricsEndpoint, otelMetricsHeaders, otelHeaders, otelTimeoutMs } = settings;
  const exporter = new OTLPMetricExporter({
    url: otelMetricsEndpoint || signalUrl(settings, "v1/metrics"),
    headers: { ...otelHeaders, ...otelMetricsHeaders },
    timeoutMillis: otelTimeoutMs,
  });
  return announceFailures(exporter, "metrics", log);
}

function signalUrl({ otelEndpoint }: TelemetrySettings, path: string): string {
  return `${(otelEndpoint || DEFAULT_ENDPOINT).replace(/\/$/, "")}/${path}`;
}

interface Exporter<T> {
  export(items: T, done: (result: { code: number; error?: Error }) => void): void;
}

const SUCCESS = 0;

/** Says once that the collector fails, and once that it works again, where the exporter itself says nothing. */
function announceFailures<T, E extends Exporter<T>>(exporter: E & Exporter<T>, what: string, log: Log): E {
  let isFailing = false;
  const send = exporter.export.bind(exporter);
  exporter.export = (items, done) =>
    send(items, (result) => {
      const failed = result.code !== SUCCESS;
      if (failed && !isFailing) {
        log.warn({ error: messageOf(result.error) }, `the collector does not take ${what}; they are lost`);
      }
      if (!failed && isFailing) log.info(`the collector takes ${what} again`);
      isFailing = failed;
      done(result);
    });
  return exporter;
}
