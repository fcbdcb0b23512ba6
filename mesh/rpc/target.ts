import type { Setting } from "../core/config.ts";

/** One instance of a service. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** How a service is reached: where its instances are, and what is spoken with them. */
export interface TargetSettings {
  readonly endpoints: readonly Endpoint[];
  /** `grpc` over HTTP/2 (grpc-js), or the Connect protocol (connect-node). */
  readonly protocol: Protocol;
}

/** What can be spoken with a target. */
export const PROTOCOLS = ["grpc", "connect"] as const;

/** What is spoken with a target. */
export type Protocol = (typeof PROTOCOLS)[number];

/** A target such as `static:///127.0.0.1:50051,127.0.0.1:50151`: the instances of a service, written down. */
export function endpoints(name: string, fallback?: string): Setting<readonly Endpoint[]> {
  const setting = { name, parse: parseTarget };
  return fallback === undefined ? setting : { ...setting, fallback: parseTarget(fallback) };
}

const SCHEME = "static:///";

function parseTarget(raw: string): readonly Endpoint[] {
  if (!raw.startsWith(SCHEME)) throw new Error(`must begin with ${SCHEME}, not "${raw}"`);
  return raw.slice(SCHEME.length).split(",").map(parseEndpoint);
}

function parseEndpoint(raw: string): Endpoint {
  const url = URL.canParse(`tcp://${raw}`) ? new URL(`tcp://${raw}`) : undefined;
  if (!url?.hostname || !url.port || url.host !== raw) throw new Error(`must list host:port, not "${raw}"`);
  return { host: url.hostname, port: Number(url.port) };
}
