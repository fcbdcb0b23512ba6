import type { IncomingHttpHeaders } from "node:http";
import { MAX_TIMER_MS } from "../core/clock.ts";

const UNIT_MS = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 0.001, n: 0.000_001 } as const;

/**
 * The milliseconds that a caller gives a call: `grpc-timeout` (gRPC over HTTP/2) or `connect-timeout-ms` (Connect
 * protocol). Undefined if there is none, or one that no protocol allows: its handler refuses that.
 */
export function readTimeoutMs(headers: IncomingHttpHeaders): number | undefined {
  return ofGrpc(headers) ?? ofConnect(headers);
}

function ofGrpc(headers: IncomingHttpHeaders): number | undefined {
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(String(headers["grpc-timeout"] ?? "")) ?? [];
  return digits === undefined ? undefined : Number(digits) * UNIT_MS[unit as keyof typeof UNIT_MS];
}

function ofConnect(headers: IncomingHttpHeaders): number | undefined {
  const digits = /^\d{1,10}$/.exec(String(headers["connect-timeout-ms"] ?? ""))?.[0];
  return digits === undefined ? undefined : Number(digits);
}

/**
 * Lowers a timeout that no Node timer can keep: connect would turn it into 1 ms, and so a caller with much patience
 * into one with none.
 */
export function clampTimeout(headers: IncomingHttpHeaders): void {
  if ((ofGrpc(headers) ?? 0) > MAX_TIMER_MS) headers["grpc-timeout"] = `${Math.floor(MAX_TIMER_MS / 1_000)}S`;
  if ((ofConnect(headers) ?? 0) > MAX_TIMER_MS) headers["connect-timeout-ms"] = String(MAX_TIMER_MS);
}
