import { authSettings } from "../auth/settings.ts";
import { type Config, choice, integer, port, text, url, urls } from "../core/config.ts";
import { FINISH_WITHIN_MS } from "../core/process.ts";
import { DATA_PLANES } from "../rpc/data-planes.ts";
import { faultSetting } from "../rpc/server/faults.ts";
import { telemetrySettings } from "../telemetry/settings.ts";

/** The settings that every process has. */
export const processSettings = {
  host: text("HOST", "127.0.0.1"),
  /** Where others reach this process, for the registry; defaults to HOST, unless that is every address. */
  advertisedHost: text("ADVERTISED_HOST", ""),
  /** Names this process among those of its service, in logs and at the broker. */
  instance: text("INSTANCE", "1"),
  natsUrl: urls("NATS_URL", ["nats", "tls"]),
  /** A credentials file for it; empty for none. */
  natsCreds: text("NATS_CREDS", ""),
  /** A file of certificates that its own may be signed by; empty for the system's. */
  natsCa: text("NATS_CA", ""),
  /** How many nodes of the NATS cluster keep each stream and bucket, at least; a contract may ask for more. */
  natsReplicas: integer("NATS_REPLICAS", 1, { min: 1, max: 5 }),
  logLevel: choice("LOG_LEVEL", ["debug", "info", "warn", "error"], "info"),
  ...authSettings,
  /** What `mesh-operator-token` must hold for AdminService; empty lets in who has signed in as an operator, or everybody with MESH_AUTH=off. */
  operatorToken: text("MESH_OPERATOR_TOKEN", ""),
  /** Whether operators may make this instance fail, and how it fails from the start. */
  faults: faultSetting("MESH_FAULTS"),
  /** When a connection is told to go, give or take 10 %, so that a balancer of connections spreads callers anew. */
  maxConnectionAgeMs: integer("MESH_MAX_CONNECTION_AGE_MS", 600_000, { min: 100 }),
  /**
   * How long a process that stops still takes calls after it has said that it goes: for callers who learn of that late, by DNS
   * or behind a balancer. Callers by the registry know at once, and what is refused goes elsewhere. Milliseconds.
   */
  drainDelayMs: integer("MESH_DRAIN_DELAY_MS", 0, { max: 600_000 }),
  /**
   * How long calls, handlers and steps of sagas that have begun may take to end when the process stops. What takes longer
   * is cut off: a handler's transaction is rolled back, and another instance has the event at once.
   */
  finishWithinMs: integer("MESH_FINISH_WITHIN_MS", FINISH_WITHIN_MS, { max: 3_600_000 }),
  /** Who speaks HTTP/2 and gRPC for this process: its own engine, or the libraries that others use. */
  dataPlane: choice("MESH_DATA_PLANE", DATA_PLANES, DATA_PLANES[0]),
  /** A file of policies for this deployment, read again at SIGHUP. */
  policyFile: text("MESH_POLICY_FILE", ""),
  ...telemetrySettings,
};

/** The settings that every process has, read. */
export type ProcessSettings = Config<typeof processSettings>;

/** The settings that every service has that keeps something. */
export const serviceSettings = {
  ...processSettings,
  databaseUrl: url("DATABASE_URL", ["postgres", "postgresql"]),
  /** `demo` puts the well-known test data in, once. */
  seed: choice("SEED", ["none", "demo"], "none"),
};

/** The settings that every service has that keeps something, read. */
export type ServiceSettings = Config<typeof serviceSettings>;

/** The setting of a service's port. */
export function portSetting(fallback: number) {
  return port("PORT", fallback);
}
