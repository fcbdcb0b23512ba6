import type { HrTime } from "@opentelemetry/api";

/** A number of milliseconds as OpenTelemetry writes times and lengths: seconds and nanoseconds. */
export function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1_000);
  return [seconds, Math.floor((ms - seconds * 1_000) * 1e6)];
}
