import { meshClient, openTarget } from "../../mesh/rpc/client/client.ts";
import { EchoService, TIMEOUT_MS } from "../calls/contract.ts";
import { type Call, HOST } from "../calls/peer.ts";

/** The same server: it answers in the protocol that it is asked in. */
export { startServer } from "./grpc.ts";

/** The whole client stack over the Connect transport. */
export async function openClient(port: number): Promise<Call> {
  const target = openTarget({
    target: { scheme: "static", endpoints: [{ host: HOST, port }] },
    protocol: "connect",
    service: EchoService,
  });
  const client = meshClient(EchoService, target);
  return async (text) => (await client.echo({ text }, { timeoutMs: TIMEOUT_MS })).text;
}
