import { Agent } from "node:http";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { isUnavailable } from "../core/errors.ts";
import { NotSentError } from "./not-sent.ts";
import type { Endpoint } from "./target.ts";
import type { ClosableTransport, TransportOptions } from "./transport.ts";

const MAX_SOCKETS = 64;

/**
 * The Connect protocol by `@connectrpc/connect-node`, to one endpoint. Over HTTP/1.1: a GOAWAY on an idle HTTP/2
 * connection ends its process (connect-es issue 1768), and every server that drains sends one.
 */
export function connectNodeTransport(endpoint: Endpoint, options: TransportOptions): ClosableTransport {
  const agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS, scheduling: "lifo" });
  const transport = createConnectTransport({
    baseUrl: `http://${endpoint.host}:${endpoint.port}`,
    httpVersion: "1.1",
    nodeOptions: { agent },
    useBinaryFormat: true,
    readMaxBytes: options.maxMessageBytes,
    interceptors: [...options.interceptors, nameLostConnections],
  });
  return { ...transport, close: () => agent.destroy() };
}

/** A connection that breaks is UNAVAILABLE, as gRPC says it; connect-node calls it aborted, canceled or internal. */
const nameLostConnections: Interceptor = (next) => async (request) => {
  const fail = (error: unknown): never => {
    if (request.signal.aborted || !isUnavailable(error)) throw error;
    const cause = wasRefused(error) ? new NotSentError("nobody listens", { cause: error }) : error;
    throw new ConnectError("the connection was lost", Code.Unavailable, undefined, undefined, cause);
  };
  const response = await next(request).catch(fail);
  return response.stream ? { ...response, message: named(response.message, fail) } : response;
};

function wasRefused(error: unknown): boolean {
  const { cause } = error as Error;
  return cause instanceof Error && (cause as NodeJS.ErrnoException).code === "ECONNREFUSED";
}

async function* named<T>(messages: AsyncIterable<T>, fail: (error: unknown) => never): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    fail(error);
  }
}
