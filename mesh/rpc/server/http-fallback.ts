import type { connectNodeAdapter } from "@connectrpc/connect-node";
import { isUnavailable } from "../../core/errors.ts";

type NodeHandler = ReturnType<typeof connectNodeAdapter>;
type NodeServerRequest = Parameters<NodeHandler>[0];
type NodeServerResponse = Parameters<NodeHandler>[1];

/** Answers what is no RPC. Undefined: no such page. */
export type HttpHandler = (request: Request) => Promise<Response> | Response | undefined;

/**
 * Gives a Node request to a handler of web requests, bodies left out: the pages of a service are read only. A handler
 * that fails is answered for with 500, or 503 if a part it needs is away; what went wrong goes to `onError` only.
 */
export async function answerHttp(
  handler: HttpHandler,
  incoming: NodeServerRequest,
  outgoing: NodeServerResponse,
  onError: (error: unknown) => void = () => {},
): Promise<void> {
  const response = await respond(handler, incoming, onError);
  const body = Buffer.from(await response.arrayBuffer());
  const headers = Object.fromEntries([...response.headers].filter(([name]) => name !== "connection"));
  outgoing.statusCode = response.status;
  for (const [name, value] of Object.entries({ ...headers, "content-length": String(body.length) })) {
    outgoing.setHeader(name, value);
  }
  if (incoming.method === "HEAD") outgoing.end();
  else outgoing.end(body);
}

async function respond(
  handler: HttpHandler,
  incoming: NodeServerRequest,
  onError: (error: unknown) => void,
): Promise<Response> {
  const method = incoming.method ?? "GET";
  // The host is the caller's to choose, so nothing may depend on it.
  const url = `http://service.invalid${incoming.url ?? "/"}`;
  if (!URL.canParse(url)) return new Response("bad request\n", { status: 400 });
  if (method !== "GET" && method !== "HEAD") {
    return new Response("not found\n", { status: 404 });
  }
  try {
    return (await handler(new Request(url, { method }))) ?? new Response("not found\n", { status: 404 });
  } catch (error) {
    onError(error);
    return isUnavailable(error)
      ? new Response("a part this page needs is away; try again\n", { status: 503 })
      : new Response("internal error\n", { status: 500 });
  }
}
