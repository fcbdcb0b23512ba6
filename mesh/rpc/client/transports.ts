import type { Endpoint } from "../../discovery/target.ts";
import type { Protocol } from "./protocol.ts";
import type { ClosableTransport, TransportOptions } from "./transport.ts";
import { connectNodeTransport } from "./transport-connect-node.ts";
import { grpcJsTransport } from "./transport-grpc-js.ts";

/** The transports, by what they speak. A setting picks one; service code cannot tell which. */
export const transports: Record<
  Protocol,
  (endpoint: Endpoint, options: TransportOptions) => ClosableTransport
> = {
  grpc: grpcJsTransport,
  connect: connectNodeTransport,
};
