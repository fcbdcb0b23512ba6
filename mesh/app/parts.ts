import { type Auth, openAuth } from "../auth/open-auth.ts";
import { methodName, type Policies, policies as readPolicies } from "../contract/policy.ts";
import { systemClock } from "../core/clock.ts";
import { isUnavailable, messageOf } from "../core/errors.ts";
import { createLog, type Log } from "../core/log.ts";
import { currentWork } from "../core/work.ts";
import { type Nats, openNats } from "../nats/connection.ts";
import type { ClientOptions } from "../rpc/client/client.ts";
import { dataPlaneOf } from "../rpc/data-planes.ts";
import { connect, type Sql } from "../store/connect.ts";
import { type Migrations, migrate } from "../store/migrate.ts";
import { openTelemetry } from "../telemetry/open-telemetry.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import type { ProcessSettings, ServiceSettings } from "./settings.ts";

/** What every process is built of, whether it keeps anything or not. */
export interface ProcessParts {
  readonly service: string;
  readonly log: Log;
  readonly nats: Nats;
  readonly config: ProcessConfig;
  readonly telemetry: Telemetry;
  readonly policies: Policies;
  /** Who may call, and how this process proves who it is. */
  readonly auth: Auth;
  /** What the clients of other services share with this process. */
  readonly clients: ClientOptions;
}

/** What every service that keeps something is built of. */
export interface Parts extends ProcessParts {
  readonly sql: Sql;
  readonly databaseUrl: string;
  readonly config: PartsConfig;
}

/** What the parts of a process need to know. */
export type ProcessConfig = ProcessSettings & { readonly port: number };

/** What the parts need to know. */
export type PartsConfig = ServiceSettings & { readonly port: number };

const MESH_MIGRATIONS: readonly Migrations[] = [
  { set: "mesh/store", folder: new URL("../store/migrations/", import.meta.url) },
  { set: "mesh/events", folder: new URL("../events/migrations/", import.meta.url) },
];
const AWAY_MS = 250;

/**
 * Opens the parts of a service and brings its database up to date, the mesh's own tables first. Waits for the
 * database; the broker may come later.
 */
export async function openParts(service: string, config: PartsConfig, migrations: URL): Promise<Parts> {
  const { instance, databaseUrl } = config;
  const log = logOf(service, config);
  const sql = connect({ url: databaseUrl, name: instance });
  const sets = [...MESH_MIGRATIONS, { set: service, folder: migrations }];
  await whenThere(log, () => migrate(sql, sets, log)).catch(async (error) => {
    await sql.end({ timeout: 1 });
    throw error;
  });
  return { ...openProcess(service, config, log), sql, databaseUrl, config };
}

/** Opens the parts of a process that keeps nothing. Waits for nothing: the broker may come later. */
export function openProcess(
  service: string,
  config: ProcessConfig,
  log: Log = logOf(service, config),
): ProcessParts {
  const { instance, natsUrl, natsCreds, natsCa, natsReplicas } = config;
  const telemetry = openTelemetry(config, { service, instance, log });
  const auth = openAuth(service, config, (method, { reason, why }) => {
    telemetry.count("mesh.auth.refused", { "rpc.method": methodName(method), reason });
    const caller = currentWork()?.caller;
    log.info(
      { method: methodName(method), reason, why, caller: caller?.id, as: caller?.kind },
      "refused for who calls",
    );
  });
  const nats = openNats({
    url: natsUrl,
    ...(natsCreds && { credsFile: natsCreds }),
    ...(natsCa && { caFile: natsCa }),
    replicas: natsReplicas,
    name: instance,
    inboxPrefix: `_INBOX_${service}`,
    log,
  });
  const policies = readPolicies();
  const { outgoing: interceptors, identity } = auth;
  const dataPlane = dataPlaneOf(config.dataPlane);
  const clients = { policies, telemetry, log, nats, interceptors, identity, dataPlane };
  return { service, log, nats, config, telemetry, policies, clients, auth };
}

function logOf(service: string, { instance, logLevel }: ProcessConfig): Log {
  return createLog({ service, instance, level: logLevel });
}

async function whenThere(log: Log, use: () => Promise<void>): Promise<void> {
  for (let said = false; ; said = true) {
    try {
      return await use();
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      if (!said) log.warn({ error: messageOf(error) }, "the database is away; waiting for it");
      await systemClock.sleep(AWAY_MS);
    }
  }
}
