import { type HrTime, ValueType } from "@opentelemetry/api";
import type { Resource } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  type DataPoint,
  DataPointType,
  type MetricData,
  type MetricProducer,
} from "@opentelemetry/sdk-metrics";
import type { Clock } from "../core/clock.ts";
import { type Attributes, INSTRUMENTS } from "./instruments.ts";
import type { Metrics } from "./metrics.ts";
import { hrTime } from "./time.ts";

/** The instrumentation scope of all that the mesh measures and records. */
export const SCOPE = { name: "weft" };

/** Gives what was measured to OpenTelemetry, in its form, each time it asks. Counts go on from where they were. */
export function metricProducer(metrics: Metrics, resource: Resource, clock: Clock): MetricProducer {
  const startTime = hrTime(clock.date().getTime());
  return {
    async collect() {
      const { counters, histograms, gauges, errors } = metrics.read();
      const span = { startTime, endTime: hrTime(clock.date().getTime()) };
      const found: MetricData[] = [
        ...counters.map(({ name, points }) => ({
          ...described(name),
          dataPointType: DataPointType.SUM as const,
          isMonotonic: true,
          dataPoints: dataPoints(points, span),
        })),
        ...histograms.map(({ name, points }) => ({
          ...described(name),
          dataPointType: DataPointType.HISTOGRAM as const,
          dataPoints: dataPoints(points, span),
        })),
        ...gauges.map(({ name, points }) => ({
          ...described(name),
          dataPointType: DataPointType.GAUGE as const,
          dataPoints: dataPoints(points, span),
        })),
      ];
      const shown = found.filter((metric) => metric.dataPoints.length > 0);
      const scopeMetrics = shown.length > 0 ? [{ scope: SCOPE, metrics: shown }] : [];
      return { resourceMetrics: { resource, scopeMetrics }, errors: [...errors] };
    },
  };
}

function described(name: keyof typeof INSTRUMENTS) {
  const { description, unit } = INSTRUMENTS[name];
  return {
    descriptor: { name, description, unit, valueType: ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
}

function dataPoints<V>(
  points: readonly (readonly [Attributes, V])[],
  span: { startTime: HrTime; endTime: HrTime },
): DataPoint<V>[] {
  return points.map(([attributes, value]) => ({ ...span, attributes, value }));
}
