import type { Interceptor, Transport } from "@connectrpc/connect";
import type { Endpoint, Protocol } from "./target.ts";
import { connectNodeTransport } from "./transport-connect-node.ts";
import { grpcJsTransport } from "./transport-grpc-js.ts";

/** A Connect transport that can be closed. */
export interface ClosableTransport extends Transport {
  /** Lets its connections go. Safe to call twice. */
  close(): void;
}

/** What a transport to one endpoint needs to know. */
export interface TransportOptions {
  readonly interceptors: Interceptor[];
  /** The largest message that is taken from the other side, in bytes. */
  readonly maxMessageBytes: number;
}

/** The transports, by what they speak. A setting picks one; service code cannot tell which. */
export const transports: Record<
  Protocol,
  (endpoint: Endpoint, options: TransportOptions) => ClosableTransport
> = {
  grpc: grpcJsTransport,
  connect: connectNodeTransport,
};
