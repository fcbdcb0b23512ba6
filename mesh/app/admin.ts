import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type AdminService,
  BreakerOrder,
  EndpointStateSchema,
  Serving,
} from "../../gen/mesh/admin/v1/admin_service_pb.ts";
import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import { refuseByMesh } from "../contract/reasons.ts";
import type { BreakerOrder as Order } from "../resilience/breaker.ts";
import type { OpenTarget } from "../rpc/client/client.ts";
import type { LiveEndpoint } from "../rpc/client/endpoints.ts";
import type { Faults } from "../rpc/server/faults.ts";
import type { Operators } from "../rpc/server/operators.ts";
import type { MeshServer } from "../rpc/server/server.ts";

/** What operators look at and change. */
export interface Administered {
  readonly service: string;
  readonly instance: string;
  /** The server, once it runs. */
  readonly server: () => MeshServer | undefined;
  readonly targets: readonly OpenTarget[];
  readonly faults: Faults;
  readonly operators: Operators;
}

/** The RPCs of AdminService. */
export function adminService(parts: Administered): ServiceImpl<typeof AdminService> {
  const { service, instance, server, targets, faults, operators } = parts;

  function endpointAt(target: string, address: string): LiveEndpoint {
    const found = targets
      .find(({ name }) => name === target)
      ?.state.endpoints.all()
      .find((endpoint) => endpoint.address === address);
    if (found) return found;
    throw refuseByMesh(MeshError.ENDPOINT_NOT_FOUND, `${instance} calls no endpoint ${address} of ${target}`);
  }

  return {
    getState(_, { requestHeader }) {
      operators.assertOperator(requestHeader);
      const running = server();
      return {
        service,
        instance,
        ...(running && { server: { ...running.state(), draining: running.draining.aborted } }),
        targets: targets.map(targetState),
        faults: [...faults.present()],
      };
    },
    setFaults({ faults: wanted }, { requestHeader }) {
      operators.assertOperator(requestHeader);
      faults.set(wanted);
      return { faults: [...faults.present()] };
    },
    orderBreaker({ target, address, order }, { requestHeader }) {
      operators.assertOperator(requestHeader);
      const endpoint = endpointAt(target, address);
      endpoint.breaker.order(ORDERS[order]);
      return { endpoint: endpointState(endpoint) };
    },
  };
}

const ORDERS: Readonly<Record<BreakerOrder, Order | undefined>> = {
  [BreakerOrder.UNSPECIFIED]: undefined,
  [BreakerOrder.FORCED_OPEN]: "FORCED_OPEN",
  [BreakerOrder.DISABLED]: "DISABLED",
  [BreakerOrder.METRICS_ONLY]: "METRICS_ONLY",
};

function targetState({ name, protocol, state }: OpenTarget) {
  const { inflight, limit } = state.calls();
  return {
    target: name,
    protocol,
    endpoints: state.endpoints.all().map(endpointState),
    retryBalance: state.gateOf().balance(),
    hedgeBalances: state.hedgeBudgets.balances(),
    inflight,
    inflightLimit: limit,
    cachedAnswers: state.cache.size,
  };
}

function endpointState({ address, isServing, breaker, load, weight, picked, lastError }: LiveEndpoint) {
  const { state, order, calls, failures, trips, probesInMs } = breaker.describe();
  return create(EndpointStateSchema, {
    address,
    serving: isServing === undefined ? Serving.UNSPECIFIED : isServing ? Serving.YES : Serving.NO,
    breaker: {
      state,
      order: order === undefined ? BreakerOrder.UNSPECIFIED : BreakerOrder[order],
      calls,
      failures,
      trips,
      ...(state === "OPEN" && { probesIn: duration(probesInMs) }),
    },
    inflight: load.pending,
    latency: duration(load.latencyMs()),
    weight: weight(),
    attempts: BigInt(picked),
    ...(lastError && { lastError: lastError.text, lastErrorTime: timestampFromDate(lastError.at) }),
  });
}

/** A length with its fraction of a millisecond. */
function duration(ms: number) {
  return { seconds: BigInt(Math.floor(ms / 1_000)), nanos: Math.floor((ms % 1_000) * 1e6) };
}
