import { connect, createServer } from "node:net";
import { grpcServer } from "../../mesh/grpc/server.ts";
import { grpcTransport } from "../../mesh/grpc/transport.ts";
import { Client as Http2Client } from "../../mesh/http2/client.ts";
import { ServerConnection } from "../../mesh/http2/server-connection.ts";
import { Unheard } from "../../mesh/http2/unheard.ts";
import { clientOver, routes } from "../data-plane/connect.ts";
import { MAX_BYTES } from "../data-plane/contract.ts";
import { type Client, HOST } from "../data-plane/peer.ts";

const MANY_STREAMS = 20_000;

/** Our HTTP/2 and gRPC, and nothing of the stack above them. */
export async function startServer(port: number): Promise<void> {
  const grpc = grpcServer({ routes, maxMessageBytes: MAX_BYTES });
  const server = createServer({ noDelay: true }, (socket) => {
    const accept = grpc.connection();
    new ServerConnection(socket, (head, fields) => accept(head, fields) ?? new Unheard(), {
      maxConcurrentStreams: MANY_STREAMS,
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, HOST, resolve);
  });
}

/** Connect's client over our transport. */
export async function openClient(port: number): Promise<Client> {
  const client = new Http2Client({
    connect: () => connect({ host: HOST, port, noDelay: true }),
    maxWaiting: MANY_STREAMS,
  });
  const transport = grpcTransport(client, { authority: `${HOST}:${port}`, maxMessageBytes: MAX_BYTES });
  return { ...clientOver(transport), close: () => client.close() };
}
