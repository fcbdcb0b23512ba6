import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import { Balancing } from "../../gen/mesh/policy/v1/policy_pb.ts";
import type { Endpoint } from "../discovery/target.ts";
import { type CallObserver, NO_OBSERVER } from "../rpc/client/call-observer.ts";
import { type ClientOptions, meshClient, openTarget } from "../rpc/client/client.ts";
import type { Protocol } from "../rpc/client/protocol.ts";
import { atEnd } from "./at-end.ts";
import { type ToyPolicies, type ToyService, toyService } from "./toy-service.ts";

/** A client of a toy's service, over the whole client stack. */
export type ToyClient = Client<ToyService>;

/** How a toy's client is opened. */
export interface ToyClientOptions extends Omit<ClientOptions, "observer"> {
  readonly observer?: Partial<CallObserver>;
}

/** Opens a way to these endpoints, closed at the end of the test. Endpoints are not asked for their health. */
export function toyTarget(
  protocol: Protocol,
  service: ToyService,
  endpoints: readonly Endpoint[],
  { observer, ...options }: ToyClientOptions = {},
) {
  const target = openTarget(
    { target: { scheme: "static", endpoints }, protocol, service },
    { watchesHealth: false, observer: { ...NO_OBSERVER, ...observer }, ...options },
  );
  atEnd(async () => target.close());
  return target;
}

/** A client over {@link toyTarget}. */
export function toyClient(...to: Parameters<typeof toyTarget>): ToyClient {
  return meshClient(to[1], toyTarget(...to));
}

/** `ms` as the contract writes it. */
export const duration = (ms: number) => durationFromMs(ms);

/**
 * A contract for tests that count attempts: calls begin at the first endpoint and go to the next in their order, waits
 * are of a millisecond, and there is budget for every retry.
 */
export function countable({ service, ...methods }: ToyPolicies = {}): ToyService {
  const wait = { initialBackoff: duration(1), maxBackoff: duration(1) };
  return toyService({
    service: {
      gate: { case: "retryBudget", value: { minPerSecond: 1_000 } },
      balancer: { policy: Balancing.PICK_FIRST },
      defaults: { redundancy: { case: "retry", value: wait }, timeout: duration(30_000) },
      ...service,
    },
    ...methods,
  });
}
