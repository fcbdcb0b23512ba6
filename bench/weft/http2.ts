import * as net from "node:net";
import { createClient } from "@connectrpc/connect";
import { grpcServer } from "../../mesh/grpc/server.ts";
import { grpcTransport } from "../../mesh/grpc/transport.ts";
import { Client } from "../../mesh/http2/client.ts";
import { ServerConnection } from "../../mesh/http2/server-connection.ts";
import { Unheard } from "../../mesh/http2/unheard.ts";
import { EchoService, TIMEOUT_MS } from "../calls/contract.ts";
import { type Call, HOST } from "../calls/peer.ts";

/** Our data plane and nothing else. */
export async function startServer(port: number): Promise<void> {
  const grpc = grpcServer({
    routes: (router) => router.service(EchoService, { echo: ({ text }) => ({ text }) }),
  });
  const server = net.createServer({ noDelay: true }, (socket) => {
    new ServerConnection(socket, (head, fields) => grpc.accept(head, fields) ?? new Unheard());
  });
  await new Promise<void>((resolve) => server.listen(port, HOST, resolve));
}

/** Our transport below Connect's client, and nothing else. */
export async function openClient(port: number): Promise<Call> {
  const client = new Client({ connect: () => net.connect({ host: HOST, port, noDelay: true }) });
  const echo = createClient(EchoService, grpcTransport(client, { authority: `${HOST}:${port}` }));
  return async (text) => (await echo.echo({ text }, { timeoutMs: TIMEOUT_MS })).text;
}
