import { createClient } from "@connectrpc/connect";
import { grpcJsTransport } from "../../mesh/rpc/client/transport-grpc-js.ts";
import { EchoService, TIMEOUT_MS } from "../calls/contract.ts";
import { type Call, HOST } from "../calls/peer.ts";

/** The grpc-js transport with nothing above it. */
export async function openClient(port: number): Promise<Call> {
  const endpoint = { host: HOST, port };
  const client = createClient(
    EchoService,
    grpcJsTransport(endpoint, { interceptors: [], maxMessageBytes: 4_194_304 }),
  );
  return async (text) => (await client.echo({ text }, { timeoutMs: TIMEOUT_MS })).text;
}
