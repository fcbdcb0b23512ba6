import { silentLog } from "../../mesh/core/log.ts";
import { meshClient, openTarget } from "../../mesh/rpc/client/client.ts";
import { startServer as startMeshServer } from "../../mesh/rpc/server/server.ts";
import { EchoService, TIMEOUT_MS } from "../calls/contract.ts";
import { type Call, HOST } from "../calls/peer.ts";
import { WIDE } from "./admission.ts";

/** The whole server stack. It writes no lines and measures nothing, as the peers do not. */
export async function startServer(port: number): Promise<unknown> {
  const echo = ({ text }: { text: string }) => ({ text });
  return startMeshServer({
    host: HOST,
    port,
    services: [EchoService],
    routes: (router) => router.service(EchoService, { echo }),
    log: silentLog,
    admission: WIDE,
  });
}

/** The whole client stack over gRPC. */
export async function openClient(port: number): Promise<Call> {
  const target = openTarget({
    target: { scheme: "static", endpoints: [{ host: HOST, port }] },
    protocol: "grpc",
    service: EchoService,
  });
  const client = meshClient(EchoService, target);
  return async (text) => (await client.echo({ text }, { timeoutMs: TIMEOUT_MS })).text;
}
