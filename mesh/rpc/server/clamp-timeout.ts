import type { IncomingHttpHeaders } from "node:http";
import { MAX_TIMER_MS } from "../../core/clock.ts";
import { formatGrpcTimeout } from "../../core/grpc-timeout.ts";
import { readTimeoutMs } from "../../resilience/timeout-header.ts";

/**
 * Lowers a timeout that no Node timer can keep: connect would turn it into 1 ms, and so a caller with much patience
 * into one with none.
 */
export function clampTimeout(headers: IncomingHttpHeaders): void {
  const isTooLong = (name: string) => {
    const get = (asked: string) => (asked === name ? (headers[name] as string | undefined) : undefined);
    return (readTimeoutMs({ get }) ?? 0) > MAX_TIMER_MS;
  };
  if (isTooLong("grpc-timeout")) headers["grpc-timeout"] = formatGrpcTimeout(MAX_TIMER_MS);
  if (isTooLong("connect-timeout-ms")) headers["connect-timeout-ms"] = String(MAX_TIMER_MS);
}
