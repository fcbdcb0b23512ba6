import { describe, expect, test } from "vitest";
import { type ConfigError, type Env, readConfig } from "../core/config.ts";
import { telemetrySettings } from "./settings.ts";

const read = (env: Env = {}) => readConfig(telemetrySettings, env);
const problemsOf = (env: Env) => {
  try {
    read(env);
    return [];
  } catch (error) {
    return (error as ConfigError).problems;
  }
};

test("all of them may be absent", () => {
  expect(read()).toMatchObject({
    otelDisabled: false,
    otelTracesExporter: "",
    otelMetricsExporters: ["prometheus"],
    otelSampler: "parentbased_always_on",
    otelSamplerRatio: 1,
    otelMetricIntervalMs: 60_000,
    metricsByEndpoint: false,
  });
});

test("they are read as OpenTelemetry writes them", () => {
  expect(
    read({
      OTEL_SDK_DISABLED: "TRUE",
      OTEL_METRICS_EXPORTER: "prometheus, otlp",
      OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20abc==, x-team = mesh ,",
      OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=test,team=a%2Cb",
      OTEL_TRACES_SAMPLER_ARG: "0.25",
      OTEL_SEMCONV_STABILITY_OPT_IN: "http,rpc/dup",
    }),
  ).toMatchObject({
    otelDisabled: true,
    otelMetricsExporters: ["prometheus", "otlp"],
    otelHeaders: { authorization: "Bearer abc==", "x-team": "mesh" },
    otelResourceAttributes: { "deployment.environment.name": "test", team: "a,b" },
    otelSamplerRatio: 0.25,
    otelSemconvOptIn: ["http", "rpc/dup"],
  });
});

describe("what cannot be is refused", () => {
  test.each([
    ["OTEL_SDK_DISABLED", "yes", 'must be true or false, not "yes"'],
    ["OTEL_TRACES_EXPORTER", "zipkin", 'must be one of none, otlp, not "zipkin"'],
    ["OTEL_METRICS_EXPORTER", "prometheus,console", 'not "console"'],
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", "must be a URL that begins with"],
    ["OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", 'must be one of http/protobuf, not "grpc"'],
    ["OTEL_TRACES_SAMPLER", "jaeger_remote", "must be one of always_on,"],
    ["OTEL_TRACES_SAMPLER_ARG", "1.5", "must be a number from 0 to 1"],
    ["OTEL_TRACES_SAMPLER_ARG", " ", "must be a number from 0 to 1"],
    ["OTEL_METRIC_EXPORT_INTERVAL", "0", "must be a whole number from 1"],
    ["OTEL_RESOURCE_ATTRIBUTES", "novalue", "must be a list such as key=value"],
  ])("%s=%s", (name, raw, problem) => {
    expect(problemsOf({ [name]: raw })).toEqual([expect.stringContaining(problem)]);
  });
});

test("a malformed header is refused without being quoted", () => {
  for (const raw of ["secret-token", "authorization=%E0%A4secret", "=secret"]) {
    const problems = problemsOf({ OTEL_EXPORTER_OTLP_HEADERS: raw });
    expect(problems).toHaveLength(1);
    expect(problems.join()).not.toContain("secret");
  }
});
