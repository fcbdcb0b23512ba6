import type { Parts } from "../app/parts.ts";
import { portSetting, serviceSettings } from "../app/settings.ts";
import { openAuth } from "../auth/open-auth.ts";
import { policies as readPolicies } from "../contract/policy.ts";
import { readConfig } from "../core/config.ts";
import { silentLog } from "../core/log.ts";
import { openNats } from "../nats/connection.ts";
import { connect } from "../store/connect.ts";
import { noTelemetry } from "../telemetry/telemetry.ts";
import { testBroker } from "./broker.ts";

/** Which parts to open. */
export interface TestPartsOptions {
  readonly service: string;
  /** A database that has the mesh's tables. */
  readonly databaseUrl: string;
  /** Defaults to a free one. */
  readonly port?: number;
}

/** The parts of a service of which nothing runs yet, at the broker of the test file. */
export async function testParts({ service, databaseUrl, port = 0 }: TestPartsOptions): Promise<Parts> {
  const { url: natsUrl } = await testBroker();
  const nats = openNats({ url: natsUrl, name: service, log: silentLog });
  const policies = readPolicies();
  const config = readConfig(
    { ...serviceSettings, port: portSetting(0) },
    { PORT: String(port), DATABASE_URL: databaseUrl, NATS_URL: natsUrl, MESH_AUTH: "off" },
  );
  return {
    service,
    log: silentLog,
    sql: connect({ url: databaseUrl, name: service }),
    databaseUrl,
    nats,
    config,
    telemetry: noTelemetry,
    policies,
    auth: openAuth(service, config),
    clients: { policies, nats },
  };
}
