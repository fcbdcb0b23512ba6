import type { Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { attemptTimeout } from "../../../mesh/resilience/attempt.ts";
import { totalDeadline } from "../../../mesh/resilience/deadline.ts";
import { normaliseOutcomes } from "../../../mesh/resilience/normalise.ts";
import { retry } from "../../../mesh/resilience/retry.ts";

/** How long a call may take if neither it nor its contract says less. Milliseconds. */
export const CALL_TIMEOUT_MS = 10_000;

/**
 * The page's way to the gateway that it came from: calls end in time, and are retried where the contract says that it is
 * safe. There is no breaker: one customer who clicks "Try again" is not too many, and must not be told to wait.
 */
export function gatewayTransport(): Transport {
  return createConnectTransport({
    baseUrl: location.origin,
    defaultTimeoutMs: CALL_TIMEOUT_MS,
    // The first is the outermost; from the attempt's timeout on each runs once per attempt.
    interceptors: [totalDeadline(), retry(), attemptTimeout(), normaliseOutcomes()],
  });
}
