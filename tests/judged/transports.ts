import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Registry } from "@bufbuild/protobuf";
import type { Endpoint } from "../../mesh/discovery/target.ts";
import { gzip } from "../../mesh/grpc/compression.ts";
import type { Format } from "../../mesh/grpc/content-type.ts";
import { grpcTransport } from "../../mesh/grpc/transport.ts";
import { Client } from "../../mesh/http2/client.ts";
import type { ClosableTransport, TransportOptions } from "../../mesh/rpc/client/transport.ts";
import { connectNodeTransport } from "../../mesh/rpc/client/transport-connect-node.ts";
import { grpcJsTransport } from "../../mesh/rpc/client/transport-grpc-js.ts";

/** What a judged transport is to do beyond its own defaults. One that cannot throws. */
export interface JudgedTransportOptions extends TransportOptions {
  /** Sends its messages compressed with gzip. Defaults to false. */
  readonly sendsGzip?: boolean;
  /** How messages are written. Defaults to what the transport does by itself. */
  readonly format?: Format;
  /** Where JSON finds what is in an `Any`. */
  readonly registry?: Registry;
  /** Speaks TLS, and trusts who has issued this certificate, in PEM. Defaults to cleartext. */
  readonly tls?: {
    readonly ca: Uint8Array;
    /** Its own certificate, for a server that asks for one. */
    readonly client?: { readonly cert: Uint8Array; readonly key: Uint8Array };
  };
}

/** Opens a transport to one endpoint. */
export type OpenJudged = (endpoint: Endpoint, options: JudgedTransportOptions) => ClosableTransport;

/** The mesh's transports, by name, bare: no stack of the mesh's client is above them. */
export const TRANSPORTS: Readonly<Record<string, OpenJudged>> = {
  weft,
  "grpc-js": plain(grpcJsTransport),
  "connect-node": plain(connectNodeTransport),
};

function weft(endpoint: Endpoint, options: JudgedTransportOptions): ClosableTransport {
  const { tls, sendsGzip, interceptors, maxMessageBytes } = options;
  const { host, port } = endpoint;
  const secure = tls && { ca: Buffer.from(tls.ca), ...pemOf(tls.client), ALPNProtocols: ["h2"] };
  const client = new Client({
    connect: () => (secure ? connectTls({ host, port, ...secure }) : connect({ host, port, noDelay: true })),
    connected: secure ? "secureConnect" : "connect",
  });
  const transport = grpcTransport(client, {
    authority: `${host}:${port}`,
    scheme: tls ? "https" : "http",
    interceptors,
    maxMessageBytes,
    ...(options.format && { format: options.format }),
    ...(options.registry && { registry: options.registry }),
    ...(sendsGzip && { compression: gzip }),
  });
  return { ...transport, close: () => client.close() };
}

function pemOf(client: { readonly cert: Uint8Array; readonly key: Uint8Array } | undefined) {
  return client && { cert: Buffer.from(client.cert), key: Buffer.from(client.key) };
}

function plain(open: (endpoint: Endpoint, options: TransportOptions) => ClosableTransport): OpenJudged {
  return (endpoint, { sendsGzip, tls, ...options }) => {
    if (tls) throw new Error("this transport speaks no TLS");
    if (sendsGzip) throw new Error("this transport sends nothing compressed");
    return open(endpoint, options);
  };
}
