import { formatGrpcTimeout, parseGrpcTimeout } from "../core/grpc-timeout.ts";

const MAX_CONNECT = 9_999_999_999;

/** Headers, wherever they are kept: read by their names in lower case. */
export interface ReadableHeader {
  get(name: string): string | null | undefined;
}

/** The milliseconds that `grpc-timeout` or `connect-timeout-ms` gives a call; undefined if there is none. */
export function readTimeoutMs(header: ReadableHeader): number | undefined {
  const timeoutMs = parseGrpcTimeout(header.get("grpc-timeout") ?? "");
  if (timeoutMs !== undefined) return timeoutMs;
  const connect = header.get("connect-timeout-ms") ?? "";
  return /^\d{1,10}$/.test(connect) ? Number(connect) : undefined;
}

/**
 * Writes what is left into the timeout header that the request already has, so that each attempt tells the server what
 * the caller still waits for. The coarser unit where the number would be too long; never more than is left.
 */
export function writeTimeoutMs(header: Headers, timeoutMs: number): void {
  if (!Number.isFinite(timeoutMs)) return;
  if (header.has("connect-timeout-ms")) {
    header.set("connect-timeout-ms", String(Math.min(MAX_CONNECT, Math.floor(timeoutMs))));
  }
  if (header.has("grpc-timeout")) header.set("grpc-timeout", formatGrpcTimeout(timeoutMs));
}
