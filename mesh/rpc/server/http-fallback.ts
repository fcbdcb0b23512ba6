import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { connectNodeAdapter } from "@connectrpc/connect-node";
import { isUnavailable } from "../../core/errors.ts";

type NodeHandler = ReturnType<typeof connectNodeAdapter>;
type NodeServerRequest = Parameters<NodeHandler>[0];
type NodeServerResponse = Parameters<NodeHandler>[1];

/** Answers what is no RPC. Undefined: no such page. */
export type HttpHandler = (request: Request) => Promise<Response | undefined> | Response | undefined;

/** Answers with a file. False if it has none for this request, which it has left as it was. */
export type FileHandler = (request: NodeServerRequest, response: NodeServerResponse) => boolean;

/** Pages are asked for by GET or HEAD only, and are whole before they are sent. */
export function pages(handler: HttpHandler): HttpHandler {
  return async (request) => {
    if (request.method !== "GET" && request.method !== "HEAD") return undefined;
    const page = await handler(request);
    if (!page) return undefined;
    const body = await page.arrayBuffer();
    const headers = new Headers(page.headers);
    headers.set("content-length", String(body.byteLength));
    return new Response(body.byteLength > 0 ? body : null, { status: page.status, headers });
  };
}

/**
 * Gives a Node request to handlers of web requests, the first that answers it; a body is sent as it comes. The request's
 * signal aborts when its caller has gone. A handler that fails is answered for with 500, or 503 if a part it needs is away;
 * what went wrong goes to `onError` only.
 */
export async function answerHttp(
  handlers: readonly HttpHandler[],
  incoming: NodeServerRequest,
  outgoing: NodeServerResponse,
  onError: (error: unknown) => void = () => {},
): Promise<void> {
  const gone = new AbortController();
  outgoing.once("close", () => {
    if (!outgoing.writableFinished) gone.abort();
  });
  const response = await respond(handlers, incoming, gone.signal, onError);
  outgoing.statusCode = response.status;
  for (const [name, value] of response.headers) {
    // HTTP/2 has no such header: its connections are not a request's to close.
    if (name === "connection" && incoming.httpVersionMajor !== 1) continue;
    if (ADDS_UP.includes(name)) outgoing.appendHeader(name, value);
    else outgoing.setHeader(name, value);
  }
  // A stream whose first part is long in coming is known to have begun.
  const isWhole = response.headers.has("content-length");
  if (!isWhole && "flushHeaders" in outgoing) outgoing.flushHeaders();
  if (incoming.method !== "HEAD" && response.body) {
    // What is whole goes in one piece: a pipeline costs more than all else that is done here.
    const body = isWhole ? await response.bytes() : undefined;
    if (gone.signal.aborted) return;
    if (body) (outgoing as NodeJS.WritableStream).write(body);
    else
      await pipeline(Readable.fromWeb(response.body as never), outgoing as NodeJS.WritableStream, {
        end: false,
      });
  }
  if ("shouldKeepAlive" in outgoing && !outgoing.shouldKeepAlive) await linger(incoming as Readable);
  outgoing.end();
}

/** What an answer says beside what was said for it before; in all else it has the last word. */
const ADDS_UP = ["set-cookie", "vary"];

const LINGER_MS = 1_000;

/**
 * Throws away what is still coming, for a moment. A connection that is closed before would be reset, and the caller, who is
 * still sending, would never see why (RFC 9112, section 9.6).
 */
async function linger(incoming: Readable): Promise<void> {
  if (incoming.readableEnded || incoming.destroyed) return;
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, LINGER_MS);
  for (const event of ["end", "close", "error"]) incoming.once(event, over.resolve);
  incoming.resume();
  await over.promise;
  clearTimeout(timer);
}

async function respond(
  handlers: readonly HttpHandler[],
  incoming: NodeServerRequest,
  signal: AbortSignal,
  onError: (error: unknown) => void,
): Promise<Response> {
  const request = webRequest(incoming, signal);
  if (!request) return text(400, "bad request\n");
  try {
    for (const handler of handlers) {
      const response = await handler(request);
      if (response) return response;
    }
    return text(404, "not found\n");
  } catch (error) {
    // That its caller has gone is no failure, and nobody is there to be told.
    if (!signal.aborted) onError(error);
    return isUnavailable(error)
      ? text(503, "a part this page needs is away; try again\n")
      : text(500, "internal error\n");
  }
}

/** Undefined for what is no request of the web, such as TRACE. */
function webRequest(incoming: NodeServerRequest, signal: AbortSignal): Request | undefined {
  const method = incoming.method ?? "GET";
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) {
    // HTTP/2 has what is above the headers in HTTP/1.1 among them.
    if (value !== undefined && !name.startsWith(":")) headers.set(name, [value].flat().join(", "));
  }
  const body = method === "GET" || method === "HEAD" ? null : bodyOf(incoming);
  try {
    // The host is the caller's to choose, so nothing may depend on it.
    const url = `http://service.invalid${incoming.url ?? "/"}`;
    return new Request(url, { method, headers, body, signal, duplex: "half" } as RequestInit);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return undefined;
  }
}

/** The body as it comes. Who gives it up leaves it to Node to throw away: the connection is needed for the answer. */
function bodyOf(incoming: NodeServerRequest): ReadableStream<Uint8Array> {
  const chunks = (incoming as Readable).iterator({ destroyOnReturn: false });
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await chunks.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await chunks.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}

function text(status: number, body: string): Response {
  const headers = { "content-type": "text/plain;charset=UTF-8", "content-length": String(body.length) };
  return new Response(body, { status, headers });
}
