import { BULKHEAD } from "../../data-plane/peer.ts";
import { moleculerWith } from "./moleculer.ts";

/** Its protections, which are off by default, on. */
export const { startServer, openClient } = moleculerWith({
  retryPolicy: { enabled: true, retries: 2 },
  circuitBreaker: { enabled: true },
  bulkhead: { enabled: true, concurrency: BULKHEAD },
});
