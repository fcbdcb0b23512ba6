import type { Endpoint } from "../../mesh/discovery/target.ts";
import type { ClosableTransport, TransportOptions } from "../../mesh/rpc/client/transport.ts";
import { connectNodeTransport } from "../../mesh/rpc/client/transport-connect-node.ts";
import { grpcJsTransport } from "../../mesh/rpc/client/transport-grpc-js.ts";

/** What a judged transport is to do beyond its own defaults. One that cannot throws. */
export interface JudgedTransportOptions extends TransportOptions {
  /** Sends its messages compressed with gzip. Defaults to false. */
  readonly sendsGzip?: boolean;
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
  "grpc-js": plain(grpcJsTransport),
  "connect-node": plain(connectNodeTransport),
};

function plain(open: (endpoint: Endpoint, options: TransportOptions) => ClosableTransport): OpenJudged {
  return (endpoint, { sendsGzip, tls, ...options }) => {
    if (tls) throw new Error("this transport speaks no TLS");
    if (sendsGzip) throw new Error("this transport sends nothing compressed");
    return open(endpoint, options);
  };
}
