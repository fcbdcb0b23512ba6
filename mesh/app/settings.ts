import { type Config, choice, integer, port, text, url, urls } from "../core/config.ts";
import { faultSetting } from "../rpc/server/faults.ts";
import { telemetrySettings } from "../telemetry/settings.ts";

/** The settings that every service has. */
export const serviceSettings = {
  host: text("HOST", "127.0.0.1"),
  /** Where others reach this process, for the registry; defaults to HOST, unless that is every address. */
  advertisedHost: text("ADVERTISED_HOST", ""),
  /** Names this process among those of its service, in logs and at the broker. */
  instance: text("INSTANCE", "1"),
  databaseUrl: url("DATABASE_URL", ["postgres", "postgresql"]),
  natsUrl: urls("NATS_URL", ["nats", "tls"]),
  /** A credentials file for it; empty for none. */
  natsCreds: text("NATS_CREDS", ""),
  /** A file of certificates that its own may be signed by; empty for the system's. */
  natsCa: text("NATS_CA", ""),
  logLevel: choice("LOG_LEVEL", ["debug", "info", "warn", "error"], "info"),
  /**
   * Whether callers must prove who they are. `off` is all there is so far, so it has no default: nobody opens a port
   * without having said so.
   */
  auth: choice("MESH_AUTH", ["off"]),
  /** What `mesh-operator-token` must hold for AdminService; empty asks nobody, which only MESH_AUTH=off allows. */
  operatorToken: text("MESH_OPERATOR_TOKEN", ""),
  /** Whether operators may make this instance fail, and how it fails from the start. */
  faults: faultSetting("MESH_FAULTS"),
  /** When a connection is told to go, give or take 10 %, so that a balancer of connections spreads callers anew. */
  maxConnectionAgeMs: integer("MESH_MAX_CONNECTION_AGE_MS", 600_000, { min: 100 }),
  /** A file of policies for this deployment, read again at SIGHUP. */
  policyFile: text("MESH_POLICY_FILE", ""),
  ...telemetrySettings,
  /** `demo` puts the well-known test data in, once. */
  seed: choice("SEED", ["none", "demo"], "none"),
};

/** The settings that every service has, read. */
export type ServiceSettings = Config<typeof serviceSettings>;

/** The setting of a service's port. */
export function portSetting(fallback: number) {
  return port("PORT", fallback);
}
