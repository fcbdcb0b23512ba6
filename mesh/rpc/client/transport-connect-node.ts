import { Agent } from "node:http";
import { createConnectTransport } from "@connectrpc/connect-node";
import type { Endpoint } from "../../discovery/target.ts";
import { normaliseOutcomes } from "../../resilience/normalise.ts";
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
    interceptors: [...options.interceptors, normaliseOutcomes()],
  });
  return { ...transport, close: () => agent.destroy() };
}
