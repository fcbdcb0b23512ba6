import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readConfig } from "../mesh/core/config.ts";
import { telemetrySettings } from "../mesh/telemetry/settings.ts";

const guide = readFileSync(join(import.meta.dirname, "..", "docs", "guides", "telemetry.md"), "utf8");
const rows = guide.split("\n").filter((line) => line.startsWith("| `"));
const told = rows.flatMap((row) => row.split(" | ")[0]?.match(/[A-Z_]{4,}/g) ?? []);

test("the guide tells of every setting that is read, and of no other", () => {
  expect(told.sort()).toEqual(
    Object.values(telemetrySettings)
      .map(({ name }) => name)
      .sort(),
  );
});

test("what is not spoken with a collector is refused, as the guide says", () => {
  for (const protocol of ["grpc", "http/json"]) {
    expect(() => readConfig(telemetrySettings, { OTEL_EXPORTER_OTLP_PROTOCOL: protocol })).toThrow(
      "OTEL_EXPORTER_OTLP_PROTOCOL",
    );
  }
});

test("the defaults that the guide names are those of a process to which nothing was said", () => {
  const read = readConfig(telemetrySettings, {});
  const defaultOf = (name: string) =>
    rows
      .find((row) => row.includes(`\`${name}\``))
      ?.split(" | ")
      .at(-1)
      ?.replace(/ \|$/, "");
  expect(defaultOf("OTEL_SDK_DISABLED")).toBe(`\`${read.otelDisabled}\``);
  expect(defaultOf("OTEL_METRICS_EXPORTER")).toBe(`\`${read.otelMetricsExporters.join()}\``);
  expect(defaultOf("OTEL_EXPORTER_OTLP_PROTOCOL")).toBe(`\`${read.otelProtocol}\``);
  expect(defaultOf("OTEL_EXPORTER_OTLP_TIMEOUT")).toBe(String(read.otelTimeoutMs));
  expect(defaultOf("OTEL_TRACES_SAMPLER")).toBe(`\`${read.otelSampler}\`, ${read.otelSamplerRatio}`);
  expect(defaultOf("OTEL_METRIC_EXPORT_INTERVAL")).toBe(String(read.otelMetricIntervalMs));
  expect(defaultOf("MESH_METRICS_BY_ENDPOINT")).toBe(`\`${read.metricsByEndpoint}\``);
});
