import { fastify } from "fastify";
import { Pool } from "undici";
import { type Item, MAX_BYTES, TIMEOUT_MS } from "../../data-plane/contract.ts";
import { type Client, HOST } from "../../data-plane/peer.ts";

interface Json {
  readonly id: string;
  readonly n: number;
  readonly tags: readonly string[];
}

const schema = {
  type: "object",
  properties: {
    id: { type: "string" },
    n: { type: "integer" },
    tags: { type: "array", items: { type: "string" } },
  },
  required: ["id", "n", "tags"],
};

/** fastify with a schema for the request and the response. */
export async function startServer(port: number): Promise<void> {
  const server = fastify({ logger: false, bodyLimit: MAX_BYTES });
  server.post<{ Body: Json }>(
    "/echo",
    { schema: { body: schema, response: { 200: schema } } },
    async ({ body: { id, n, tags } }) => ({ id, n, tags }),
  );
  await server.listen({ host: HOST, port });
}

/** Calls it with undici; the signal, if there is one, is the deadline, and else undici's own timeouts are. */
export function openPool(port: number) {
  const pool = new Pool(`http://${HOST}:${port}`, { connections: 64 });
  const limits = { headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS };
  return {
    async post({ id, n, tags }: Item, signal?: AbortSignal): Promise<Item> {
      const { statusCode, body } = await pool.request({
        method: "POST",
        path: "/echo",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ id, n: Number(n), tags }),
        ...(signal ? { signal } : limits),
      });
      if (statusCode !== 200) throw new Error(`status ${statusCode}: ${await body.text()}`);
      const answer = (await body.json()) as Json;
      return { id: answer.id, n: BigInt(answer.n), tags: answer.tags };
    },
    close: () => pool.close(),
  };
}

/** undici with 64 connections and nothing else. */
export async function openClient(port: number): Promise<Client> {
  const { post, close } = openPool(port);
  return { echo: (item) => post(item), close };
}
