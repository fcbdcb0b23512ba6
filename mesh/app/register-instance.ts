import { isIP } from "node:net";
import type { Running } from "../core/process.ts";
import { register } from "../discovery/register.ts";
import type { ProcessParts } from "./parts.ts";

/** Puts this instance into the registry, under the address that others reach; not if it has none to tell. */
export function registerInstance({ service, nats, log, config }: ProcessParts, port: number): Running {
  const { host, advertisedHost, instance } = config;
  const reached = advertisedHost || host;
  if (isIP(reached) !== 0 && /^[0:.]+$/.test(reached)) {
    log.warn(
      { host },
      "not registered: ADVERTISED_HOST must say where others reach an instance that listens on every address",
    );
    return { async stop() {} };
  }
  return register({ nats, service, instance, endpoint: { host: reached, port }, log });
}
