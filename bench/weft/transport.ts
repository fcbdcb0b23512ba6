import { createClient } from "@connectrpc/connect";
import { dataPlaneOf } from "../../mesh/rpc/data-planes.ts";
import { EchoService, TIMEOUT_MS } from "../calls/contract.ts";
import { type Call, HOST } from "../calls/peer.ts";

/** The transport with nothing above it. */
export async function openClient(port: number): Promise<Call> {
  const endpoint = { host: HOST, port };
  const client = createClient(
    EchoService,
    dataPlaneOf().grpc(endpoint, { interceptors: [], maxMessageBytes: 4_194_304 }),
  );
  return async (text) => (await client.echo({ text }, { timeoutMs: TIMEOUT_MS })).text;
}
