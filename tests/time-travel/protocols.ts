import type { DescMethod, Registry } from "@bufbuild/protobuf";
import type { Interceptor, Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { hasRoute, restTransport } from "./rest-transport.ts";

/** What a client may speak. */
export interface Protocol {
  /** True if the method can be called by it. Where that is left out, all can. */
  readonly speaks?: (method: DescMethod) => boolean;
  /** Which service speaks it for all. Where that is left out, each does for itself. */
  readonly door?: "gateway";
  /** Opens a way to a server, for a client with these contracts; the gateway asks for the headers of who has signed in. */
  readonly open: (baseUrl: string, contracts: Registry, headers: Headers) => Transport;
}

type Headers = Readonly<Record<string, string>>;

/** What a client may speak with a service itself, by a client that is not ours. */
export const PROTOCOLS = {
  gRPC: {
    open: (baseUrl, _, headers) => createGrpcTransport({ baseUrl, interceptors: [withHeaders(headers)] }),
  },
  "gRPC-Web": {
    open: (baseUrl, _, headers) =>
      createGrpcWebTransport({ baseUrl, httpVersion: "1.1", interceptors: [withHeaders(headers)] }),
  },
  Connect: { open: (baseUrl, _, headers) => connect(baseUrl, headers, { useBinaryFormat: true }) },
  "Connect JSON": { open: (baseUrl, _, headers) => connect(baseUrl, headers, { useBinaryFormat: false }) },
} as const satisfies Record<string, Protocol>;

/** What a client may speak with the gateway only: its contract says which of its RPCs. */
export const REST: Protocol = { speaks: hasRoute, door: "gateway", open: restTransport };

function connect(
  baseUrl: string,
  headers: Headers,
  format: { readonly useBinaryFormat: boolean },
): Transport {
  return createConnectTransport({
    baseUrl,
    httpVersion: "1.1",
    interceptors: [withHeaders(headers)],
    ...format,
  });
}

function withHeaders(headers: Headers): Interceptor {
  return (next) => (request) => {
    for (const [name, value] of Object.entries(headers)) request.header.set(name, value);
    return next(request);
  };
}
