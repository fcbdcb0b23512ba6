import type { Transport } from "@connectrpc/connect";
import type { Policies } from "../../contract/policy.ts";
import type { Clock } from "../../core/clock.ts";
import { NO_OBSERVER } from "../../rpc/client/call-observer.ts";
import { type Endpoints, endpointsOf } from "../../rpc/client/endpoints.ts";
import { targetState } from "../../rpc/client/target-state.ts";
import { transportThrough } from "../../rpc/client/transport-through.ts";
import { SimulatedService } from "./contract.ts";
import type { SimulatedServer } from "./simulated-server.ts";
import { simulatedTransport } from "./simulated-transport.ts";

/** What a client process shares with its simulation. */
export interface TargetParts {
  readonly clock: Clock;
  readonly random: () => number;
  readonly policies: Policies;
}

/** The way of one client process to simulated servers. */
export interface SimulatedTarget {
  readonly transport: Transport;
  readonly endpoints: Endpoints;
}

/** All that a client process of the mesh has between its code and the wire, with budgets and breakers of its own. */
export function simulatedTarget(servers: readonly SimulatedServer[], parts: TargetParts): SimulatedTarget {
  const { clock, random, policies } = parts;
  const policy = policies.service(SimulatedService);
  const endpoints = endpointsOf({
    open: ({ port }) => simulatedTransport(servers[port - 1] as SimulatedServer, clock),
    policies: policy,
    clock,
    random,
    watchesHealth: false,
  });
  endpoints.update(servers.map((_, i) => ({ host: "simulated", port: i + 1 })));
  const state = targetState({
    name: "simulated",
    surroundings: { clock, random, policies },
    policy,
    endpoints,
    observer: NO_OBSERVER,
    refresh() {},
  });
  return { transport: transportThrough(state), endpoints };
}
