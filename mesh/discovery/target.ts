import { isIP } from "node:net";
import type { Setting } from "../core/config.ts";

/** One instance of a service. */
export interface Endpoint {
  /** A name or an IP address; an IPv6 address without its brackets. */
  readonly host: string;
  readonly port: number;
}

/** Where the instances of a service are to be found. */
export type Target = StaticTarget | DnsTarget | NatsTarget;

/** Instances that are written down: `static:///127.0.0.1:50051,127.0.0.1:50151`. */
export interface StaticTarget {
  readonly scheme: "static";
  readonly endpoints: readonly Endpoint[];
}

/** Every address of a name, on one port: `dns:///product.shop.svc:50051`. */
export interface DnsTarget {
  readonly scheme: "dns";
  readonly host: string;
  readonly port: number;
}

/** Whoever registered for the service: `nats:///product`. */
export interface NatsTarget {
  readonly scheme: "nats";
  readonly service: string;
}

/** The setting of a target. */
export function target(name: string, fallback?: string): Setting<Target> {
  const setting = { name, parse: parseTarget };
  return fallback === undefined ? setting : { ...setting, fallback: parseTarget(fallback) };
}

/** Reads a target as it is written. Throws an Error whose message completes "NAME ...". */
export function parseTarget(raw: string): Target {
  const [, scheme, rest = ""] = /^(static|dns|nats):\/\/\/(.*)$/s.exec(raw) ?? [];
  if (scheme === "static") return { scheme, endpoints: rest.split(",").map(parseEndpoint) };
  if (scheme === "dns") return { scheme, ...parseDns(rest) };
  if (scheme === "nats") return { scheme, service: parseService(rest) };
  throw new Error(`must begin with static:///, dns:/// or nats:///, not "${raw}"`);
}

/** Writes a target as {@link parseTarget} reads it. */
export function formatTarget(target: Target): string {
  if (target.scheme === "static") return `static:///${target.endpoints.map(addressOf).join(",")}`;
  return target.scheme === "dns" ? `dns:///${addressOf(target)}` : `nats:///${target.service}`;
}

/** `host:port`, an IPv6 address in brackets: what stands in a URL, and what tells two endpoints apart. */
export function addressOf({ host, port }: Endpoint): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** True if something could be dialled there: a name or an address without a zone, and a port other than 0. */
export function isEndpoint(endpoint: {
  readonly host: unknown;
  readonly port: unknown;
}): endpoint is Endpoint {
  const { host, port } = endpoint;
  return isHost(host) && Number.isInteger(port) && Number(port) >= 1 && Number(port) <= 65_535;
}

/** True if a service may be called so: up to 100 letters, digits, dots, dashes and underscores. */
export function isServiceName(name: string): boolean {
  return /^[\w.-]{1,100}$/.test(name);
}

function parseEndpoint(raw: string): Endpoint {
  const [, inBrackets, name, port] = /^(?:\[([^\]]*:[^\]]*)\]|([^[\]:]*)):(\d{1,5})$/.exec(raw) ?? [];
  const endpoint = { host: inBrackets ?? name, port: Number(port) };
  if (!isEndpoint(endpoint)) throw new Error(`must list host:port, not "${raw}"`);
  return endpoint;
}

function parseDns(raw: string): Endpoint {
  const isPortless = /^\[[^\]]*\]$|^[^[\]:]*$/.test(raw);
  if (isPortless) throw new Error(`must name a port, as in dns:///product:50051, not "dns:///${raw}"`);
  return parseEndpoint(raw);
}

function parseService(raw: string): string {
  if (!isServiceName(raw))
    throw new Error(`must name a service, as in nats:///product, not "nats:///${raw}"`);
  return raw;
}

function isHost(host: unknown): host is string {
  if (typeof host !== "string" || host.length > 253 || host.includes("%")) return false;
  return isIP(host) !== 0 || /^\w[\w-]*(\.\w[\w-]*)*$/.test(host);
}
