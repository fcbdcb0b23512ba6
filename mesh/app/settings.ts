import { choice, port, text, url } from "../core/config.ts";

/** The settings that every service has. */
export const serviceSettings = {
  host: text("HOST", "127.0.0.1"),
  /** Names this process among those of its service, in logs and at the broker. */
  instance: text("INSTANCE", "1"),
  databaseUrl: url("DATABASE_URL", ["postgres", "postgresql"]),
  natsUrl: url("NATS_URL", ["nats", "tls"]),
  logLevel: choice("LOG_LEVEL", ["debug", "info", "warn", "error"], "info"),
  /**
   * Whether callers must prove who they are. `off` is all there is so far, so it has no default: nobody opens a port
   * without having said so.
   */
  auth: choice("MESH_AUTH", ["off"]),
  /** `demo` puts the well-known test data in, once. */
  seed: choice("SEED", ["none", "demo"], "none"),
};

/** The setting of a service's port. */
export function portSetting(fallback: number) {
  return port("PORT", fallback);
}
