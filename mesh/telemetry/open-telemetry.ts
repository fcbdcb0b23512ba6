import { PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import { defaultResource, type Resource, resourceFromAttributes } from "@opentelemetry/resources";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BatchSpanProcessor, type SpanExporter } from "@opentelemetry/sdk-trace";
import { type Clock, systemClock } from "../core/clock.ts";
import { type Log, silentLog } from "../core/log.ts";
import { metricProducer } from "./collect.ts";
import { noMetrics, startMetrics } from "./metrics.ts";
import { otlpMetrics, otlpSpans } from "./otlp.ts";
import { followParent, samplerOf } from "./sampler.ts";
import type { TelemetrySettings } from "./settings.ts";
import { spanStarter } from "./spans.ts";
import { noTelemetry, type Telemetry } from "./telemetry.ts";

/** Who tells, and how it is told. */
export interface TelemetryOptions {
  /** The name of the service, unless the settings have another. */
  readonly service: string;
  readonly instance: string;
  /** Told when the collector fails, and when it works again. Defaults to nobody. */
  readonly log?: Log;
  readonly clock?: Clock;
  /** Takes the spans in place of the collector. */
  readonly spanExporter?: SpanExporter;
}

const CLOSE_WITHIN_MS = 2_000;

/** Begins to measure and to record, as the settings say. {@link noTelemetry} if they say that nothing is wanted. */
export function openTelemetry(settings: TelemetrySettings, options: TelemetryOptions): Telemetry {
  const { clock = systemClock } = options;
  if (settings.otelDisabled) return noTelemetry;
  const resource = resourceOf(settings, options);
  const measured = openMetrics(settings, options, resource);
  const recorded = openSpans(settings, options, resource);
  if (!measured && !recorded) return noTelemetry;

  let closed: Promise<void> | undefined;
  return {
    ...(measured?.metrics ?? noMetrics),
    isOn: true,
    clock,
    sampler: recorded ? samplerOf(settings) : followParent,
    startSpan: recorded?.startSpan,
    codeNames: settings.otelSemconvOptIn.includes("rpc/dup")
      ? ["rpc.status_code", "rpc.response.status_code"]
      : ["rpc.status_code"],
    prometheus: measured?.prometheus ?? noTelemetry.prometheus,
    close() {
      closed ??= within(CLOSE_WITHIN_MS, clock, [recorded?.close(), measured?.close()]);
      return closed;
    },
  };
}

function resourceOf(
  { otelServiceName, otelResourceAttributes }: TelemetrySettings,
  { service, instance }: TelemetryOptions,
): Resource {
  const attributes = {
    "service.name": service,
    "service.instance.id": instance,
    ...otelResourceAttributes,
    ...(otelServiceName && { "service.name": otelServiceName }),
  };
  return defaultResource().merge(resourceFromAttributes(attributes));
}

function openMetrics(settings: TelemetrySettings, options: TelemetryOptions, resource: Resource) {
  const { log = silentLog, clock = systemClock } = options;
  const { otelMetricsExporters: exporters, otelMetricIntervalMs: intervalMs, otelTimeoutMs } = settings;
  const isShown = exporters.includes("prometheus");
  const isSent = exporters.includes("otlp");
  if (!isShown && !isSent) return undefined;

  const metrics = startMetrics({ keepsEndpoints: settings.metricsByEndpoint });
  const producer = metricProducer(metrics, resource, clock);
  const reader = () =>
    new PeriodicExportingMetricReader({
      exporter: otlpMetrics(settings, log),
      exportIntervalMillis: intervalMs,
      exportTimeoutMillis: Math.min(intervalMs, otelTimeoutMs),
      metricProducers: [producer],
    });
  // It has nothing of its own to measure, but binds the reader to the resource.
  const provider = isSent ? new MeterProvider({ resource, readers: [reader()] }) : undefined;
  // One scope only, and it would stand on every line.
  const serializer = new PrometheusSerializer(undefined, false, undefined, false, true);

  return {
    metrics,
    async prometheus() {
      if (!isShown) return "";
      const { resourceMetrics, errors } = await producer.collect();
      for (const error of errors) log.warn({ err: error }, "a gauge failed");
      return serializer.serialize(resourceMetrics);
    },
    close: async () => provider?.shutdown(),
  };
}

function openSpans(settings: TelemetrySettings, options: TelemetryOptions, resource: Resource) {
  const { log = silentLog, clock = systemClock } = options;
  const hasEndpoint = settings.otelEndpoint !== "" || settings.otelTracesEndpoint !== "";
  const exporterName = settings.otelTracesExporter || (hasEndpoint ? "otlp" : "none");
  if (exporterName === "none") return undefined;

  const exporter = options.spanExporter ?? otlpSpans(settings, log);
  const processor = new BatchSpanProcessor({ exporter, exportTimeoutMillis: settings.otelTimeoutMs });
  return {
    startSpan: spanStarter(processor, resource, clock),
    close: () => processor.shutdown(),
  };
}

/** Resolves when all have ended, well or not, or when their time is over. */
async function within(
  limitMs: number,
  clock: Clock,
  ends: readonly (Promise<unknown> | undefined)[],
): Promise<void> {
  const allEnded = new AbortController();
  await Promise.race([Promise.allSettled(ends), clock.sleep(limitMs, allEnded.signal)]);
  allEnded.abort();
}
