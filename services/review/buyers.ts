import type { Transport } from "@connectrpc/connect";
import { OrderService } from "../../gen/shop/order/v1/order_service_pb.ts";
import type { OwnedReadModel } from "../../mesh/app/serve.ts";
import type { KeySnapshot } from "../../mesh/events/read-model.ts";
import { meshClient } from "../../mesh/rpc/client/client.ts";
import { pages } from "../../mesh/rpc/client/pages.ts";
import { buyerHandlers } from "./events.ts";
import { addBuyer, dropBuyers } from "./store.ts";

/** Who bought what: a read model of the order service's events. */
export const buyers: OwnedReadModel = {
  owner: "order",
  handlers: buyerHandlers,
  snapshot: purchasesOfOwner,
  drop: dropBuyers,
};

/** All that was bought as the order service knows it. */
async function* purchasesOfOwner(way: Transport, signal: AbortSignal): AsyncGenerator<KeySnapshot> {
  const orders = meshClient(OrderService, way);
  const listed = pages((pageToken) => orders.listPurchases({ pageToken, pageSize: 100 }, { signal }));
  for await (const { purchases } of listed) {
    for (const { orderId, customerId, productIds, version } of purchases)
      yield { key: orderId, version, write: (tx, build) => addBuyer(tx, build, customerId, productIds) };
  }
}
