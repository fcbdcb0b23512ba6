import { createServer } from "node:http2";
import { createClient } from "@connectrpc/connect";
import { connectNodeAdapter, createGrpcTransport } from "@connectrpc/connect-node";
import { EchoService, TIMEOUT_MS } from "../calls/contract.ts";
import { listening } from "../calls/listening.ts";
import { type Call, HOST } from "../calls/peer.ts";

/** connect-node over HTTP/2 and nothing else. */
export function startServer(port: number): Promise<void> {
  const echo = ({ text }: { text: string }) => ({ text });
  const handler = connectNodeAdapter({ routes: (router) => router.service(EchoService, { echo }) });
  return listening(createServer(handler), port);
}

/** connect-node speaking gRPC and nothing else. */
export async function openClient(port: number): Promise<Call> {
  const client = createClient(EchoService, createGrpcTransport({ baseUrl: `http://${HOST}:${port}` }));
  return async (text) => (await client.echo({ text }, { timeoutMs: TIMEOUT_MS })).text;
}
