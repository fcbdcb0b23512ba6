import { createServer } from "node:http2";
import { connectNodeAdapter, createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { listening } from "../../calls/listening.ts";
import { clientOver, routes } from "../../data-plane/connect.ts";
import { type Client, HOST } from "../../data-plane/peer.ts";

// In MB; else many streams at once are refused.
const OPTIONS = { maxSessionMemory: 1_000 };

/** connect-node over HTTP/2 and nothing else. */
export function startServer(port: number): Promise<void> {
  return listening(createServer(OPTIONS, connectNodeAdapter({ routes })), port);
}

/** connect-node speaking gRPC and nothing else. */
export async function openClient(port: number): Promise<Client> {
  const baseUrl = `http://${HOST}:${port}`;
  const sessionManager = new Http2SessionManager(baseUrl, {}, OPTIONS);
  const client = clientOver(createGrpcTransport({ baseUrl, sessionManager }));
  return { ...client, close: () => sessionManager.abort() };
}
