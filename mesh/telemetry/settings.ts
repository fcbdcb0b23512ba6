import { type Config, choice, integer, type Setting, url } from "../core/config.ts";

const SCHEMES = ["http", "https"];

/**
 * The settings of telemetry: the standard ones of OpenTelemetry, and one of ours. All may be absent. Spans are sent
 * once an OTLP endpoint is set; metrics are shown at `/metrics`.
 */
export const telemetrySettings = {
  /** `true` turns all of it off. */
  otelDisabled: flag("OTEL_SDK_DISABLED"),
  /** `otlp` or `none`; empty means `otlp` if an endpoint is set. */
  otelTracesExporter: optional(choice("OTEL_TRACES_EXPORTER", ["none", "otlp"])),
  /** `prometheus`, `otlp`, both, or `none`. */
  otelMetricsExporters: words("OTEL_METRICS_EXPORTER", ["prometheus", "otlp", "none"], ["prometheus"]),
  /** The collector; spans go to its `/v1/traces`, metrics to its `/v1/metrics`. */
  otelEndpoint: url("OTEL_EXPORTER_OTLP_ENDPOINT", SCHEMES, ""),
  /** Where spans go, taken as it is. */
  otelTracesEndpoint: url("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", SCHEMES, ""),
  /** Where metrics go, taken as it is. */
  otelMetricsEndpoint: url("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", SCHEMES, ""),
  /** What is spoken with the collector; there is nothing else so far. */
  otelProtocol: choice("OTEL_EXPORTER_OTLP_PROTOCOL", ["http/protobuf"], "http/protobuf"),
  otelHeaders: pairs("OTEL_EXPORTER_OTLP_HEADERS"),
  otelTracesHeaders: pairs("OTEL_EXPORTER_OTLP_TRACES_HEADERS"),
  otelMetricsHeaders: pairs("OTEL_EXPORTER_OTLP_METRICS_HEADERS"),
  /** How long one export may take, its retries included. Milliseconds. */
  otelTimeoutMs: integer("OTEL_EXPORTER_OTLP_TIMEOUT", 10_000, { min: 1 }),
  otelSampler: choice(
    "OTEL_TRACES_SAMPLER",
    [
      "always_on",
      "always_off",
      "traceidratio",
      "parentbased_always_on",
      "parentbased_always_off",
      "parentbased_traceidratio",
    ],
    "parentbased_always_on",
  ),
  /** The part of the traces that a ratio sampler takes, from 0 to 1. */
  otelSamplerRatio: ratio("OTEL_TRACES_SAMPLER_ARG", 1),
  /** The service's name in spans and metrics; empty means its own. */
  otelServiceName: optional({ name: "OTEL_SERVICE_NAME", parse: (raw: string) => raw }),
  otelResourceAttributes: pairs("OTEL_RESOURCE_ATTRIBUTES"),
  /** How often metrics are sent to the collector. Milliseconds. */
  otelMetricIntervalMs: integer("OTEL_METRIC_EXPORT_INTERVAL", 60_000, { min: 1 }),
  /** `rpc/dup` writes the code of a call under the name of the release candidate too. */
  otelSemconvOptIn: list("OTEL_SEMCONV_STABILITY_OPT_IN"),
  /** `true` tells the series of the mesh's metrics apart by endpoint: exact, and as many series as there are instances. */
  metricsByEndpoint: flag("MESH_METRICS_BY_ENDPOINT"),
};

/** The settings of telemetry, read. */
export type TelemetrySettings = Config<typeof telemetrySettings>;

function optional<T extends string>(setting: Setting<T>): Setting<T | ""> {
  return { ...setting, fallback: "" };
}

function flag(name: string): Setting<boolean> {
  const parse = (raw: string) => {
    if (!/^(true|false)$/i.test(raw)) throw new Error(`must be true or false, not "${raw}"`);
    return raw.toLowerCase() === "true";
  };
  return { name, parse, fallback: false };
}

function ratio(name: string, fallback: number): Setting<number> {
  const parse = (raw: string) => {
    const value = Number(raw);
    if (raw.trim() === "" || !(value >= 0 && value <= 1)) {
      throw new Error(`must be a number from 0 to 1, not "${raw}"`);
    }
    return value;
  };
  return { name, parse, fallback };
}

function list(name: string): Setting<readonly string[]> {
  return { name, parse: split, fallback: [] };
}

function words<const T extends string>(
  name: string,
  allowed: readonly T[],
  fallback: readonly T[],
): Setting<readonly T[]> {
  const one = choice(name, allowed);
  return { name, parse: (raw) => split(raw).map(one.parse), fallback };
}

/** `key=value,key=value`, percent-encoded. The text is never quoted in an error, because it may hold a password. */
function pairs(name: string): Setting<Readonly<Record<string, string>>> {
  const parse = (raw: string) => {
    try {
      return Object.fromEntries(
        split(raw).map((pair) => {
          const [, key = "", value = ""] = /^\s*([^=\s]+)\s*=(.*)$/.exec(pair) ?? [];
          if (key === "") throw new Error();
          return [decodeURIComponent(key), decodeURIComponent(value.trim())];
        }),
      );
    } catch {
      throw new Error("must be a list such as key=value,key=value, percent-encoded");
    }
  };
  return { name, parse, fallback: {} };
}

function split(raw: string): string[] {
  return raw
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "");
}
