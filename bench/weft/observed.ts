import { openSync } from "node:fs";
import { devNull } from "node:os";
import { destination } from "pino";
import { readConfig } from "../../mesh/core/config.ts";
import { createLog } from "../../mesh/core/log.ts";
import { meshClient, openTarget } from "../../mesh/rpc/client/client.ts";
import { startServer as startMeshServer } from "../../mesh/rpc/server/server.ts";
import { openTelemetry } from "../../mesh/telemetry/open-telemetry.ts";
import { refusalTelemetry, serverTelemetry } from "../../mesh/telemetry/server-telemetry.ts";
import { telemetrySettings } from "../../mesh/telemetry/settings.ts";
import { EchoService, TIMEOUT_MS } from "../calls/contract.ts";
import { type Call, HOST } from "../calls/peer.ts";
import { WIDE } from "./admission.ts";

function telemetryFor(instance: string) {
  return openTelemetry(readConfig(telemetrySettings, {}), { service: "bench", instance });
}

/** The whole server stack, with the metrics of a service by default and a line of the log for each call. */
export async function startServer(port: number): Promise<unknown> {
  const telemetry = telemetryFor("server");
  const echo = ({ text }: { text: string }) => ({ text });
  return startMeshServer({
    host: HOST,
    port,
    services: [EchoService],
    routes: (router) => router.service(EchoService, { echo }),
    telemetry: serverTelemetry(telemetry),
    onEarlyRefusal: refusalTelemetry(telemetry),
    sampler: telemetry.sampler,
    admission: WIDE,
    log: createLog(
      { service: "bench", instance: "server", level: "info" },
      destination({ fd: openSync(devNull, "w"), sync: true }),
    ),
  });
}

/** The whole client stack over gRPC, with the metrics of a service by default. */
export async function openClient(port: number): Promise<Call> {
  const target = openTarget(
    {
      target: { scheme: "static", endpoints: [{ host: HOST, port }] },
      protocol: "grpc",
      service: EchoService,
    },
    { telemetry: telemetryFor("client") },
  );
  const client = meshClient(EchoService, target);
  return async (text) => (await client.echo({ text }, { timeoutMs: TIMEOUT_MS })).text;
}
