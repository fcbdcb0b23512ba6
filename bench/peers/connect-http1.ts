import { createServer } from "node:http";
import { createClient } from "@connectrpc/connect";
import { connectNodeAdapter, createConnectTransport } from "@connectrpc/connect-node";
import { EchoService, TIMEOUT_MS } from "../calls/contract.ts";
import { listening } from "../calls/listening.ts";
import { type Call, HOST } from "../calls/peer.ts";

/** connect-node over HTTP/1.1 and nothing else. */
export function startServer(port: number): Promise<void> {
  const echo = ({ text }: { text: string }) => ({ text });
  const handler = connectNodeAdapter({ routes: (router) => router.service(EchoService, { echo }) });
  return listening(createServer(handler), port);
}

/** connect-node speaking the Connect protocol, with binary messages, and nothing else. */
export async function openClient(port: number): Promise<Call> {
  const transport = createConnectTransport({
    baseUrl: `http://${HOST}:${port}`,
    httpVersion: "1.1",
    useBinaryFormat: true,
  });
  const client = createClient(EchoService, transport);
  return async (text) => (await client.echo({ text }, { timeoutMs: TIMEOUT_MS })).text;
}
