import type { ServiceImpl } from "@connectrpc/connect";
import type { ConsumerService } from "../../gen/mesh/admin/v1/consumer_pb.ts";
import { listConsumers } from "../../mesh/events/list-consumers.ts";
import type { Nats } from "../../mesh/nats/connection.ts";
import type { Operators } from "../../mesh/rpc/server/operators.ts";
import { fromBroker } from "./broker.ts";

/** The RPCs of ConsumerService. */
export function consumerService({
  nats,
  operators,
}: {
  readonly nats: Nats;
  readonly operators: Operators;
}): ServiceImpl<typeof ConsumerService> {
  return {
    async listConsumers({ service }, { requestHeader, signal }) {
      operators.assertOperator(requestHeader);
      const found = await Array.fromAsync(
        fromBroker(nats, signal, (online) => listConsumers(online, signal)),
      );
      const wanted = found.filter(({ name }) => service === "" || name.startsWith(`${service}__`));
      const consumers = wanted.map((info) => ({
        stream: info.stream_name,
        name: info.name,
        lag: BigInt(info.num_pending + info.num_ack_pending),
        pending: BigInt(info.num_pending),
        ackPending: BigInt(info.num_ack_pending),
        redelivered: BigInt(info.num_redelivered),
        waiting: info.num_waiting,
      }));
      return { consumers };
    },
  };
}
