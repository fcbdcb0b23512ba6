import { type DestinationStream, destination, type Logger, pino } from "pino";
import { currentWork } from "./work.ts";

/** The logger of a service. Every line carries the trace and request id of the work that wrote it. */
export type Log = Pick<Logger, "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "child">;

// A second line of defence: code logs ids and counts, never requests.
const PRIVATE = [
  "password",
  "payment_token",
  "paymentToken",
  "access_token",
  "accessToken",
  "authorization",
  "cookie",
  "email",
  "display_name",
  "displayName",
];

/** Makes the logger of one process: JSON lines on standard output, nothing secret in them. */
export function createLog(
  { service, instance, level }: { service: string; instance: string; level: string },
  output: DestinationStream = destination({ sync: true }),
): Log {
  return pino(
    {
      level,
      base: { service, instance },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: PRIVATE.flatMap((key) => [key, `*.${key}`]), censor: "[redacted]" },
      mixin() {
        const work = currentWork();
        return work
          ? { traceId: work.trace.traceId, spanId: work.trace.spanId, requestId: work.requestId }
          : {};
      },
    },
    output,
  );
}

/** A logger that writes nothing. */
export const silentLog: Log = pino({ level: "silent" });
