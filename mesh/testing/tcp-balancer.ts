import type { Endpoint } from "../discovery/target.ts";
import { type TcpProxy, tcpProxy } from "./tcp-proxy.ts";

/** One address for several servers. */
export interface TcpBalancer extends TcpProxy {
  /** From now on this server takes its turn too. */
  add(server: Endpoint): void;
  /** How many connections have been passed on since it began. */
  passedOn(): number;
}

/**
 * Passes connections on to servers, which take them in turn: a balancer that knows TCP only (L4), as a cloud or a
 * Kubernetes service is. It ends with the test, or the test file.
 */
export async function tcpBalancer(): Promise<TcpBalancer> {
  const servers: Endpoint[] = [];
  let connections = 0;
  const proxy = await tcpProxy(() => servers[connections++ % servers.length]);
  return { ...proxy, passedOn: () => connections, add: (server) => void servers.push(server) };
}
