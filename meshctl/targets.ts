import type { Env } from "../mesh/core/config.ts";
import { parseTarget, type Target } from "../mesh/discovery/target.ts";
import { UsageError } from "./failure.ts";

/** Where each service is if nothing else is said: the ports of `make run`. */
const PORTS: Readonly<Record<string, readonly number[]>> = {
  product: [50051, 50151],
  review: [50052],
  order: [50053],
  payment: [50054],
  customer: [50055],
  notification: [50056],
  audit: [50057],
  gateway: [8080],
};

/** The names of all services. */
export const SERVICES: readonly string[] = Object.keys(PORTS);

/** The names of those that have an outbox: the gateway keeps nothing. */
export const WITH_OUTBOX: readonly string[] = SERVICES.filter((service) => service !== "gateway");

/** The setting that says where a service is, the same that its callers have. */
export function targetSetting(service: string): string {
  return `${service.toUpperCase()}_TARGET`;
}

/** Where a service is. Throws a {@link UsageError} if there is none of this name, or its setting cannot be read. */
export function targetOf(service: string, env: Env): Exclude<Target, { scheme: "nats" }> {
  const ports = PORTS[service];
  if (!ports) throw new UsageError(`there is no service "${service}"; there are ${SERVICES.join(", ")}`);
  const name = targetSetting(service);
  const raw = env[name] || `static:///${ports.map((port) => `127.0.0.1:${port}`).join(",")}`;
  try {
    const target = parseTarget(raw);
    if (target.scheme !== "nats") return target;
  } catch (error) {
    throw new UsageError(`${name} ${(error as Error).message}`);
  }
  throw new UsageError(`${name} must begin with static:/// or dns:/// here: meshctl asks no registry`);
}
