import { type Policies, policies as readPolicies } from "../contract/policy.ts";
import { systemClock } from "../core/clock.ts";
import { isUnavailable, messageOf } from "../core/errors.ts";
import { createLog, type Log } from "../core/log.ts";
import { type Nats, openNats } from "../nats/connection.ts";
import type { ClientOptions } from "../rpc/client/client.ts";
import { connect, type Sql } from "../store/connect.ts";
import { type Migrations, migrate } from "../store/migrate.ts";
import { openTelemetry } from "../telemetry/open-telemetry.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import type { ServiceSettings } from "./settings.ts";

/** What every service is built of. */
export interface Parts {
  readonly service: string;
  readonly log: Log;
  readonly sql: Sql;
  readonly databaseUrl: string;
  readonly nats: Nats;
  readonly config: PartsConfig;
  readonly telemetry: Telemetry;
  readonly policies: Policies;
  /** What the clients of other services share with this process. */
  readonly clients: ClientOptions;
}

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
  const { instance, databaseUrl, natsUrl, natsCreds, natsCa, logLevel } = config;
  const log = createLog({ service, instance, level: logLevel });
  const sql = connect({ url: databaseUrl, name: instance });
  const sets = [...MESH_MIGRATIONS, { set: service, folder: migrations }];
  await whenThere(log, () => migrate(sql, sets, log)).catch(async (error) => {
    await sql.end({ timeout: 1 });
    throw error;
  });
  const nats = openNats({
    url: natsUrl,
    ...(natsCreds && { credsFile: natsCreds }),
    ...(natsCa && { caFile: natsCa }),
    name: instance,
    inboxPrefix: `_INBOX_${service}`,
    log,
  });
  const telemetry = openTelemetry(config, { service, instance, log });
  const policies = readPolicies();
  const clients = { policies, telemetry, log, nats };
  return { service, log, sql, databaseUrl, nats, config, telemetry, policies, clients };
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
