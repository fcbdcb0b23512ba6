import { fastify } from "fastify";
import { Pool } from "undici";
import { HOST } from "../calls/peer.ts";

const GOES_ALONG = ["content-type", "authorization"] as const;

/** fastify that passes each request on with undici, as it came, and the answer back: it asks nobody, counts nothing and reads nothing. */
export async function startProxy(port: number, target: string): Promise<void> {
  const pool = new Pool(target, { connections: 64 });
  const server = fastify({ logger: false });
  server.removeAllContentTypeParsers();
  server.addContentTypeParser("*", { parseAs: "buffer" }, (_, body, done) => done(null, body));
  server.all("/*", async ({ method, url, headers, body }, reply) => {
    const answer = await pool.request({
      method: method as "POST",
      path: url,
      headers: Object.fromEntries(
        GOES_ALONG.flatMap((name) => (headers[name] ? [[name, headers[name]]] : [])),
      ),
      ...(body instanceof Buffer && { body }),
    });
    reply.code(answer.statusCode);
    reply.header("content-type", answer.headers["content-type"] ?? "application/json");
    return reply.send(Buffer.from(await answer.body.arrayBuffer()));
  });
  await server.listen({ host: HOST, port });
}
