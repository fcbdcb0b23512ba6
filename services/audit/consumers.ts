import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { ConsumerService } from "../../gen/mesh/admin/v1/consumer_pb.ts";
import type { Log } from "../../mesh/core/log.ts";
import { listConsumers } from "../../mesh/events/list-consumers.ts";
import { pauseConsumer } from "../../mesh/events/pause-consumer.ts";
import type { Nats, Online } from "../../mesh/nats/connection.ts";
import type { Operators } from "../../mesh/rpc/server/operators.ts";
import { fromBroker } from "./broker.ts";

/** The RPCs of ConsumerService. */
export function consumerService({
  nats,
  operators,
  log,
}: {
  readonly nats: Nats;
  readonly operators: Operators;
  readonly log: Log;
}): ServiceImpl<typeof ConsumerService> {
  async function pause(consumer: string, until: Date | undefined, context: HandlerContext): Promise<void> {
    const { requestHeader, signal } = context;
    operators.assertOperator(requestHeader);
    async function* run(online: Online) {
      yield await pauseConsumer(online, consumer, until, signal);
    }
    await Array.fromAsync(fromBroker(nats, signal, run));
    log.warn({ consumer, until }, `an operator ${until ? "pauses" : "resumes"} a consumer`);
  }

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
        ...(info.paused &&
          info.config.pause_until && { pausedUntil: timestampFromDate(new Date(info.config.pause_until)) }),
      }));
      return { consumers };
    },

    async pauseConsumer({ consumer, until }, context) {
      await pause(consumer, until && timestampDate(until), context);
      return {};
    },

    async resumeConsumer({ consumer }, context) {
      await pause(consumer, undefined, context);
      return {};
    },
  };
}
