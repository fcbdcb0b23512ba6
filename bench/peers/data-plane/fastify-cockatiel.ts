import {
  bulkhead,
  ConsecutiveBreaker,
  circuitBreaker,
  ExponentialBackoff,
  handleAll,
  retry,
  TimeoutStrategy,
  timeout,
  wrap,
} from "cockatiel";
import { TIMEOUT_MS } from "../../data-plane/contract.ts";
import { BULKHEAD, type Client } from "../../data-plane/peer.ts";
import { openPool } from "./fastify.ts";

export { startServer } from "./fastify.ts";

/** undici below cockatiel: bulkhead, retry, breaker and timeout. */
export async function openClient(port: number): Promise<Client> {
  const { post } = openPool(port);
  const protections = wrap(
    bulkhead(BULKHEAD),
    retry(handleAll, { maxAttempts: 3, backoff: new ExponentialBackoff() }),
    circuitBreaker(handleAll, { halfOpenAfter: 1_000, breaker: new ConsecutiveBreaker(5) }),
    timeout(TIMEOUT_MS, TimeoutStrategy.Cooperative),
  );
  return { echo: (item) => protections.execute(({ signal }) => post(item, signal)) };
}
