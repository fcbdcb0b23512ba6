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
import { fastify } from "fastify";
import { Pool } from "undici";
import { TIMEOUT_MS } from "../calls/contract.ts";
import { type Call, HOST } from "../calls/peer.ts";

const text = { type: "object", properties: { text: { type: "string" } }, required: ["text"] };

/** fastify with a schema for the request and the response. */
export async function startServer(port: number): Promise<void> {
  const server = fastify({ logger: false });
  server.post<{ Body: { text: string } }>(
    "/echo",
    { schema: { body: text, response: { 200: text } } },
    async ({ body }) => ({ text: body.text }),
  );
  await server.listen({ host: HOST, port });
}

/** undici below cockatiel: retry, breaker, bulkhead and timeout, as large as ours. */
export async function openClient(port: number): Promise<Call> {
  const pool = new Pool(`http://${HOST}:${port}`, { connections: 64 });
  const protections = wrap(
    bulkhead(256),
    retry(handleAll, { maxAttempts: 3, backoff: new ExponentialBackoff() }),
    circuitBreaker(handleAll, { halfOpenAfter: 1_000, breaker: new ConsecutiveBreaker(5) }),
    timeout(TIMEOUT_MS, TimeoutStrategy.Cooperative),
  );
  return (text) =>
    protections.execute(async ({ signal }) => {
      const { statusCode, body } = await pool.request({
        method: "POST",
        path: "/echo",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ text }),
        signal,
      });
      if (statusCode !== 200) throw new Error(`status ${statusCode}`);
      return ((await body.json()) as { text: string }).text;
    });
}
