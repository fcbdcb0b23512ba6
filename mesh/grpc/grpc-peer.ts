import type { ConnectRouter } from "@connectrpc/connect";
import { Client } from "../http2/client.ts";
import { Flag, FrameType } from "../http2/frame.ts";
import { type CameFrame, frame, type RawPeer, rawPeer } from "../http2/raw-peer.ts";
import { ServerConnection } from "../http2/server-connection.ts";
import { Unheard } from "../http2/unheard.ts";
import { type GrpcServer, type GrpcServerOptions, grpcServer } from "./server.ts";
import { type GrpcTransportOptions, grpcTransport } from "./transport.ts";

/** What a call of a method begins with. */
export const callHeaders = (path: string): readonly string[] => [
  ":method: POST",
  ":scheme: http",
  `:path: ${path}`,
  ":authority: localhost",
  "te: trailers",
  "content-type: application/grpc+proto",
];

/** What an answer begins with. */
export const ANSWER: readonly string[] = [":status: 200", "content-type: application/grpc+proto"];

/** A message with its prefix, as a frame. */
export function message(stream: number, bytes: Uint8Array, isEnd = false, flags = 0): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(bytes.length, 1);
  return data(stream, Buffer.concat([head, bytes]), isEnd);
}

/** DATA with these octets. */
export function data(stream: number, octets: Uint8Array, isEnd = false): Buffer {
  return frame(FrameType.DATA, isEnd ? Flag.END_STREAM : 0, stream, Buffer.from(octets));
}

/** A transport, and the server that it speaks with, which says what a test wants it to say. */
export function transportToPeer(options: Partial<GrpcTransportOptions> = {}) {
  const peers: RawPeer[] = [];
  const client = new Client({
    // Tests that move time far do not mean to ask whether the peer lives.
    keepaliveMs: Number.POSITIVE_INFINITY,
    connect() {
      const peer = rawPeer("server");
      peers.push(peer);
      queueMicrotask(() => peer.socket.emit("connect"));
      return peer.socket;
    },
  });
  const transport = grpcTransport(client, { authority: "localhost", ...options });
  return { transport, client, peers, peer: () => peers.at(-1) as RawPeer };
}

/** A gRPC server, and a caller of it that says what a test wants it to say. */
export function serverOfPeer(
  routes: (router: ConnectRouter) => void,
  options: Partial<GrpcServerOptions> = {},
): { server: GrpcServer; connection: ServerConnection; peer: RawPeer } {
  const server = grpcServer({ routes, ...options });
  const peer = rawPeer("client");
  const accept = server.connection();
  const connection = new ServerConnection(
    peer.socket,
    (head, fields) => accept(head, fields) ?? new Unheard(),
  );
  return { server, connection, peer };
}

/** The messages that came on a stream, without their prefixes, each in one frame. */
export function messagesIn(came: readonly CameFrame[], stream = 1): Buffer[] {
  return came
    .filter((each) => each.type === FrameType.DATA && each.stream === stream && each.payload.length > 0)
    .map(({ payload }) => payload.subarray(5));
}
