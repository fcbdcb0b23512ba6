import { type DestinationStream, destination, type Logger, pino, stdSerializers } from "pino";
import { currentWork } from "./work.ts";

/** The logger of a service. Every line carries the trace and request id of the work that wrote it. */
export type Log = Pick<Logger, "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "child">;

/**
 * The names under which nothing is written, as the contracts and as TypeScript spell them: every field of the contracts that is
 * personal (`pii`) or a secret (`debug_redact`), which a test holds them to, and what HTTP and PostgreSQL have of that kind. A
 * second line of defence: code logs ids and counts, never requests.
 */
export const PRIVATE_NAMES: ReadonlySet<string> = new Set([
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
  "data",
  // The row that a constraint refuses.
  "detail",
]);

const CENSORED = "[redacted]";
// As deep as pino writes.
const DEEPEST = 5;

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
      formatters: { level: (label) => ({ level: label }), log: censoredFields },
      // For what a child says in each of its lines, which no formatter sees.
      redact: { paths: [...PRIVATE_NAMES], censor: CENSORED },
      serializers: { err: writtenError },
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

/** An error with its causes; whatever else was thrown as it is. */
function writtenError(thrown: unknown): unknown {
  return thrown instanceof Error ? censoredFields({ ...stdSerializers.err(thrown) }) : censored(thrown, 0);
}

function censoredFields(fields: Record<string, unknown>, depth = 0): Record<string, unknown> {
  const entries = Object.entries(fields);
  return Object.fromEntries(
    entries.map(([name, value]) => [name, PRIVATE_NAMES.has(name) ? CENSORED : censored(value, depth + 1)]),
  );
}

/** A value without what is private in it. What writes itself, such as a date, and errors are left to their serializers. */
function censored(value: unknown, depth: number): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Error || ArrayBuffer.isView(value)) return value;
  if (typeof (value as { toJSON?: unknown }).toJSON === "function") return value;
  if (depth > DEEPEST) return CENSORED;
  if (Array.isArray(value)) return value.map((each) => censored(each, depth + 1));
  return censoredFields(value as Record<string, unknown>, depth);
}
