import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Running } from "../core/process.ts";
import type { Nats } from "../nats/connection.ts";
import { type Lookup, watchDns } from "./dns.ts";
import { watchRegistry } from "./registry.ts";
import { addressOf, type Endpoint, formatTarget, type Target } from "./target.ts";

/** What following a target needs. */
export interface DiscoverOptions {
  /** Where the registry is; needed for `nats:///` targets only. */
  readonly nats?: Nats;
  readonly log: Log;
  readonly clock?: Clock;
  /** How a `dns:///` target is looked up. Defaults to the system's resolver. */
  readonly lookup?: Lookup;
  /** How often a name is looked up again. Milliseconds. Defaults to 30,000. */
  readonly dnsRefreshMs?: number;
}

/** A target that is followed. Stopping resolves soon, whatever is away. */
export interface Discovery extends Running {
  /**
   * Says that the list seems to be out of date, as a client does when it cannot connect. A name is then looked up
   * again, at most once a second; what is told of changes as they happen needs no asking.
   */
  refresh(): void;
}

/** Who is told of the instances. Must not throw. */
export type Found = (endpoints: readonly Endpoint[]) => void;

/**
 * Tells `found` which instances a target has: as soon as they are known (for `static:///` before it returns), then
 * whenever they are others, each once. An empty list says that nobody is registered, never that we cannot tell: while
 * a source is away, the last list stands. Calls nobody after `stop`.
 */
export function discover(target: Target, options: DiscoverOptions, found: Found): Discovery {
  let told: string | undefined;
  let isStopped = false;
  const source = follow(target, options, (endpoints) => {
    const byAddress = new Map(endpoints.map((endpoint) => [addressOf(endpoint), endpoint]));
    const list = [...byAddress.keys()].sort().join();
    if (isStopped || list === told) return;
    told = list;
    found([...byAddress.values()]);
  });
  return {
    refresh: () => source.refresh(),
    stop() {
      isStopped = true;
      return source.stop();
    },
  };
}

function follow(target: Target, options: DiscoverOptions, found: Found): Discovery {
  const { nats, clock, lookup, dnsRefreshMs: refreshMs } = options;
  const log = options.log.child({ target: formatTarget(target) });
  const common = { log, ...(clock && { clock }) };
  if (target.scheme === "dns") {
    return watchDns(target, { ...common, ...(lookup && { lookup }), ...(refreshMs && { refreshMs }) }, found);
  }
  if (target.scheme === "nats") {
    if (!nats) throw new Error(`${formatTarget(target)} needs a connection to NATS`);
    return watchRegistry(target.service, { ...common, nats }, found);
  }
  found(target.endpoints);
  return { refresh() {}, async stop() {} };
}
