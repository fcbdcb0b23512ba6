import type { Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { grpcJsTransport } from "../rpc/client/transport-grpc-js.ts";
import { atEnd } from "./at-end.ts";
import type { TestServer } from "./server.ts";

/** A way of speaking with a server. */
export interface WireProtocol {
  readonly name: string;
  /** Both sides of a call may speak at the same time. */
  readonly hasBidi: boolean;
  /** Opens a way to the server; it is closed at the end of the test, or of the test file. */
  open(server: TestServer): Transport;
}

function overHttp2(
  name: string,
  create: (baseUrl: string, sessionManager: Http2SessionManager) => Transport,
): WireProtocol {
  return {
    name,
    hasBidi: true,
    open({ url }) {
      const session = new Http2SessionManager(url);
      atEnd(async () => session.abort());
      return create(url, session);
    },
  };
}

const httpVersion = "2";

/** All that a mesh server speaks, each by a client that is not ours. */
export const WIRE_PROTOCOLS: readonly WireProtocol[] = [
  {
    name: "gRPC by grpc-js",
    hasBidi: true,
    open({ endpoint }) {
      const transport = grpcJsTransport(endpoint, { interceptors: [], maxMessageBytes: 2 ** 22 });
      atEnd(async () => transport.close());
      return transport;
    },
  },
  overHttp2("gRPC by connect-node", (baseUrl, sessionManager) =>
    createGrpcTransport({ baseUrl, sessionManager }),
  ),
  overHttp2("gRPC-Web over HTTP/2", (baseUrl, sessionManager) =>
    createGrpcWebTransport({ baseUrl, httpVersion, sessionManager }),
  ),
  overHttp2("Connect over HTTP/2", (baseUrl, sessionManager) =>
    createConnectTransport({ baseUrl, httpVersion, sessionManager }),
  ),
  {
    name: "gRPC-Web over HTTP/1.1",
    hasBidi: false,
    open: ({ url }) => createGrpcWebTransport({ baseUrl: url, httpVersion: "1.1" }),
  },
  {
    name: "Connect over HTTP/1.1",
    hasBidi: false,
    open: ({ url }) => createConnectTransport({ baseUrl: url, httpVersion: "1.1" }),
  },
];
