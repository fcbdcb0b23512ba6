import type { Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { attemptTimeout } from "../../mesh/resilience/attempt.ts";
import { circuitBreaker } from "../../mesh/resilience/circuit-breaker.ts";
import { totalDeadline } from "../../mesh/resilience/deadline.ts";
import { normaliseOutcomes } from "../../mesh/resilience/normalise.ts";
import { retry } from "../../mesh/resilience/retry.ts";

/** A page's way to a server: calls end in time, are retried where that is safe, and stop while the server fails. */
export function resilientTransport(baseUrl: string): Transport {
  return createConnectTransport({
    baseUrl,
    // Milliseconds. Without a timeout connect sends no header, and the server is not told how long it is waited for.
    defaultTimeoutMs: 10_000,
    // The first is the outermost; from the breaker on each runs once per attempt.
    interceptors: [totalDeadline(), retry(), circuitBreaker(), attemptTimeout(), normaliseOutcomes()],
  });
}
