import type { DescMethod, Registry } from "@bufbuild/protobuf";
import type { ConnectError, ConnectRouter, ContextValues, Interceptor } from "@connectrpc/connect";
import type { Endpoint } from "../discovery/target.ts";
import type { ReadHeader } from "./call-headers.ts";
import type { Protocol } from "./client/protocol.ts";
import type { ClosableTransport, TransportOptions } from "./client/transport.ts";
import { connectNodeTransport } from "./client/transport-connect-node.ts";
import { grpcJsTransport } from "./client/transport-grpc-js.ts";
import { nodeHttp2 } from "./server/http2-node.ts";
import type { Http2Side, Http2SideOptions } from "./server/http2-side.ts";

/** The calls of a server, for a data plane that answers gRPC itself. */
export interface ServedCalls {
  readonly routes: (router: ConnectRouter) => void;
  /** The first is the outermost. They answer unary calls at their deadlines. */
  readonly interceptors: readonly Interceptor[];
  readonly maxMessageBytes: number;
  /** Where JSON finds what is in an `Any`. */
  readonly registry: Registry;
  /** What refuses a call by its headers, or the context values of the one that passes. */
  readonly arrive: (method: DescMethod, header: ReadHeader) => ConnectError | ContextValues;
}

type OpenTransport = (endpoint: Endpoint, options: TransportOptions) => ClosableTransport;

/** What makes the calls of a process, and takes those that come to it. */
export interface DataPlane extends Readonly<Record<Protocol, OpenTransport>> {
  /** Speaks HTTP/2 on a port. Without `calls`, gRPC too is for the handler. */
  readonly openHttp2: (options: Http2SideOptions, calls: ServedCalls | undefined) => Http2Side;
}

/** The data planes by their names, the default first. Service code cannot tell which one it runs on. */
export const dataPlanes: Readonly<Record<string, DataPlane>> = {
  // All that there is of mesh/grpc and mesh/http2 in the mesh.
  weft: { connect: connectNodeTransport, ...(await import("../grpc/data-plane.ts")) },
  "grpc-js": { grpc: grpcJsTransport, connect: connectNodeTransport, openHttp2: nodeHttp2 },
  "connect-node": { grpc: connectNodeTransport, connect: connectNodeTransport, openHttp2: nodeHttp2 },
};

/** The names of the data planes. */
export const DATA_PLANES: readonly string[] = Object.keys(dataPlanes);

let byDefault = DATA_PLANES[0] as string;

/** Has this process use another data plane where nobody says which. Throws if there is none of this name. */
export function useDataPlane(name: string): void {
  dataPlaneOf(name);
  byDefault = name;
}

/** The data plane of this name. Throws if there is none. */
export function dataPlaneOf(name = byDefault): DataPlane {
  const found = dataPlanes[name];
  if (!found) throw new Error(`there is no data plane ${name}; there are ${DATA_PLANES.join(", ")}`);
  return found;
}
