import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { OrderError } from "../../gen/shop/order/v1/order_error_pb.ts";
import { OrderPlacedSchema } from "../../gen/shop/order/v1/order_event_pb.ts";
import {
  OrderService,
  PlaceOrderResponseSchema,
  PurchaseSchema,
} from "../../gen/shop/order/v1/order_service_pb.ts";
import { assertOwner } from "../../mesh/auth/owner.ts";
import { eventContract } from "../../mesh/contract/event.ts";
import { newId } from "../../mesh/core/ids.ts";
import { standAside, timeLeftMs } from "../../mesh/core/work.ts";
import { beginSaga, cancelSaga, type Saga } from "../../mesh/events/saga.ts";
import { cutPage, pageSize, readPageToken } from "../../mesh/rpc/server/page.ts";
import type { Sql } from "../../mesh/store/connect.ts";
import { once, recall } from "../../mesh/store/once.ts";
import { type Tx, transaction } from "../../mesh/store/transaction.ts";
import { type Changes, watch } from "../../mesh/store/watch.ts";
import type { Clients } from "./clients.ts";
import { orderPlaced } from "./events.ts";
import { toMessage } from "./messages.ts";
import { isFinal, type NewOrder, type Order, orderNotFound, refuse } from "./order.ts";
import { BY_CUSTOMER, type SagaState } from "./saga.ts";
import {
  insertOrder,
  isBeingCancelled,
  listOrders,
  listPurchases,
  readOrder,
  setCancelReason,
} from "./store.ts";

/** What the RPCs work with. */
export interface OrderServiceParts {
  readonly sql: Sql;
  readonly clients: Clients;
  readonly saga: Saga<SagaState>;
  /** Announces an order's id when it changes in this process. */
  readonly changes: Changes;
}

// How long a cancellation waits for what the order held to be given back.
const CANCEL_WAIT_MS = 2_000;

// Kept back of what a call has left, so that a caller that waits for long is answered with what is known by then.
const ANSWER_MS = 100;

/** The RPCs of OrderService. */
export function orderService({
  sql,
  clients,
  saga,
  changes,
}: OrderServiceParts): ServiceImpl<typeof OrderService> {
  /** The order, if it is the caller's. Throws ORDER_NOT_FOUND. */
  async function ownOrder(orderId: string): Promise<Order> {
    const order = await readOrder(sql, orderId);
    assertOwner(order.customerId, () => orderNotFound(orderId));
    return order;
  }

  /** The order now and at each change, until it is final. */
  async function* follow(orderId: string, signal: AbortSignal): AsyncGenerator<Order> {
    const states = watch(
      () => readOrder(sql, orderId),
      (order) => order.updatedAt.getTime(),
      {
        changes,
        keys: [orderId],
        signal,
      },
    );
    for await (const order of states) {
      yield order;
      if (isFinal(order)) return;
    }
  }

  /** The order when it is final, or as it is when the time is up. */
  async function within(waitMs: number, orderId: string, signal: AbortSignal): Promise<Order> {
    standAside();
    const until = AbortSignal.any([signal, AbortSignal.timeout(Math.floor(waitMs))]);
    let last: Order | undefined;
    for await (last of follow(orderId, until));
    return last ?? readOrder(sql, orderId);
  }

  async function place(tx: Tx, order: NewOrder) {
    const placed = await insertOrder(tx, order);
    await beginSaga(tx, saga, placed.orderId, "PLACED");
    await orderPlaced(tx, placed);
    return create(PlaceOrderResponseSchema, { order: toMessage(placed) });
  }

  return {
    async placeOrder(request, { signal }) {
      const { customerId, paymentToken, requestId, wait } = request;
      const method = OrderService.method.placeOrder;
      // How long somebody waits is no part of what is ordered.
      const { wait: _, ...content } = request;
      const key = { caller: customerId, requestId, request: content };

      let placed = await recall(sql, method, key);
      if (!placed) {
        const [lines] = await Promise.all([clients.price(request.lines), clients.checkCustomer(customerId)]);
        const order = { orderId: newId(), customerId, lines, paymentToken };
        placed = await transaction(sql, (tx) => once(tx, method, key, () => place(tx, order)));
      }
      const waitMs = Math.min(wait ? durationMs(wait) : 0, timeLeftMs() - ANSWER_MS);
      if (waitMs <= 0) return placed;
      return { order: toMessage(await within(waitMs, placed.order?.orderId ?? "", signal)) };
    },

    async getOrder({ orderId }) {
      return { order: toMessage(await ownOrder(orderId)) };
    },

    async listOrders({ customerId, pageSize: asked, pageToken }) {
      const [before] = readPageToken(pageToken, 1) ?? [];
      const size = pageSize(asked);
      const found = await listOrders(sql, { customerId, before, limit: size + 1 });
      const [orders, nextPageToken] = cutPage(found, size, (order) => [order.orderId]);
      return { orders: orders.map(toMessage), nextPageToken };
    },

    async listPurchases({ pageSize: asked, pageToken }) {
      const [after = ""] = readPageToken(pageToken, 1) ?? [];
      const size = pageSize(asked);
      const { stream } = eventContract(OrderPlacedSchema);
      const found = await listPurchases(sql, { stream, after, limit: size + 1 });
      const [purchases, nextPageToken] = cutPage(found, size, ({ orderId }) => [orderId]);
      return {
        purchases: purchases.map((each) =>
          create(PurchaseSchema, { ...each, productIds: [...each.productIds] }),
        ),
        nextPageToken,
      };
    },

    async cancelOrder({ orderId, reason }, { signal }) {
      await ownOrder(orderId);
      await transaction(sql, async (tx) => {
        // The saga's row is locked before the order's, here as in the runner.
        if (await cancelSaga(tx, saga, orderId, BY_CUSTOMER)) {
          await setCancelReason(tx, orderId, reason);
          return;
        }
        // Looked at with the saga's row locked, so that of two that cancel at the same time both succeed.
        const { state } = await readOrder(tx, orderId);
        if (state === "CANCELLED" || (await isBeingCancelled(tx, orderId, BY_CUSTOMER))) return;
        const text = `order ${orderId} is too far on to be cancelled`;
        throw refuse(OrderError.ORDER_NOT_CANCELLABLE, text, { metadata: { state } });
      });
      return { order: toMessage(await within(CANCEL_WAIT_MS, orderId, signal)) };
    },

    async *watchOrder({ orderId }, { signal }) {
      await ownOrder(orderId);
      for await (const order of follow(orderId, signal)) yield { order: toMessage(order) };
    },
  };
}
