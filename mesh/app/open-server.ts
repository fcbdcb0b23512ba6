import { AdminService } from "../../gen/mesh/admin/v1/admin_service_pb.ts";
import type { OpenTarget } from "../rpc/client/client.ts";
import { dataPlaneOf } from "../rpc/data-planes.ts";
import { faultsOnDemand } from "../rpc/server/faults.ts";
import type { Operators } from "../rpc/server/operators.ts";
import { type MeshServer, type ServerOptions, startServer } from "../rpc/server/server.ts";
import { refusalTelemetry, serverTelemetry } from "../telemetry/server-telemetry.ts";
import { adminService } from "./admin.ts";
import { measureServer, refusalCounts } from "./measure-server.ts";
import { metricsPage } from "./metrics-page.ts";
import type { ProcessParts } from "./parts.ts";

/** What the server of a process offers beside what every one does. */
export interface ServedOptions
  extends Pick<
    ServerOptions,
    "services" | "routes" | "http" | "files" | "web" | "adorn" | "cors" | "limits"
  > {
  /** The ways to other services, which operators look at. */
  readonly targets: readonly OpenTarget[];
  readonly operators: Operators;
}

/**
 * Starts the server of a process, with what each has: AdminService, `/metrics`, faults on demand, and measurements. Rejects
 * if it cannot start.
 */
export async function openServer(parts: ProcessParts, served: ServedOptions): Promise<MeshServer> {
  const { service, log, config, telemetry, policies } = parts;
  const { services, routes, http, targets, operators, ...more } = served;
  const faults = faultsOnDemand({ settings: config.faults, isOperator: operators.isOperator });
  let server: MeshServer | undefined;
  const admin = { service, instance: config.instance, server: () => server, targets, faults, operators };
  server = await startServer({
    ...more,
    host: config.host,
    port: config.port,
    services: [...services, AdminService],
    routes(router) {
      routes(router);
      router.service(AdminService, adminService(admin));
    },
    http: (request) => metricsPage(telemetry, request) ?? http?.(request),
    telemetry: serverTelemetry(telemetry),
    onEarlyRefusal: refusalTelemetry(telemetry),
    ...refusalCounts(telemetry),
    sampler: telemetry.sampler,
    ...(parts.auth.access && { access: parts.auth.access([...services, AdminService], operators) }),
    faults: faults.interceptor,
    dataPlane: dataPlaneOf(config.dataPlane),
    connectionAge: { maxConnectionAgeMs: config.maxConnectionAgeMs },
    policies,
    log,
  });
  measureServer(telemetry, server);
  return server;
}
