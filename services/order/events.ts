import { CustomerRegisteredSchema } from "../../gen/shop/customer/v1/customer_event_pb.ts";
import {
  OrderCancelledSchema,
  OrderConfirmedSchema,
  OrderPlacedSchema,
  OrderRejectedSchema,
} from "../../gen/shop/order/v1/order_event_pb.ts";
import { PaymentRefundedSchema } from "../../gen/shop/payment/v1/payment_event_pb.ts";
import {
  ProductCreatedSchema,
  ProductPriceChangedSchema,
} from "../../gen/shop/product/v1/product_event_pb.ts";
import { euro, toCents } from "../../mesh/core/money.ts";
import { on } from "../../mesh/events/handlers.ts";
import { publish } from "../../mesh/events/publish.ts";
import type { Tx } from "../../mesh/store/transaction.ts";
import { toLineMessage } from "./messages.ts";
import type { Order } from "./order.ts";
import { keepCustomer, keepPrice, setRefunded } from "./store.ts";

/** Announces that an order was accepted. */
export function orderPlaced(tx: Tx, { orderId, customerId, lines, totalCents }: Order): Promise<void> {
  const total = euro(totalCents);
  return publish(tx, OrderPlacedSchema, { orderId, customerId, lines: lines.map(toLineMessage), total });
}

/** Announces what became of an order that is final now. */
export async function orderEnded(tx: Tx, order: Order): Promise<void> {
  const { orderId, customerId, lines, totalCents } = order;
  switch (order.state) {
    case "CONFIRMED": {
      const total = euro(totalCents);
      return publish(tx, OrderConfirmedSchema, {
        orderId,
        customerId,
        lines: lines.map(toLineMessage),
        total,
      });
    }
    case "REJECTED":
      return publish(tx, OrderRejectedSchema, { orderId, customerId, reason: order.rejectionReason });
    case "CANCELLED":
      return publish(tx, OrderCancelledSchema, { orderId, customerId, reason: order.cancelReason });
    case "PENDING":
      throw new Error(`order ${orderId} is not final`);
  }
}

/** Shows on the order what was paid back. */
export const paymentHandlers = [
  on(PaymentRefundedSchema, async (tx, { orderId, refundedTotal }) => {
    if (refundedTotal) await setRefunded(tx, orderId, toCents(refundedTotal));
  }),
];

/** Keeps the replica of the prices. */
export function productHandlers(build: number) {
  return [
    on(ProductCreatedSchema, async (tx, { productId, price }) => {
      if (price) await keepPrice(tx, build, productId, toCents(price));
    }),
    on(ProductPriceChangedSchema, async (tx, { productId, newPrice }) => {
      if (newPrice) await keepPrice(tx, build, productId, toCents(newPrice));
    }),
  ];
}

/** Keeps the replica of who is a customer. */
export function customerHandlers(build: number) {
  return [on(CustomerRegisteredSchema, (tx, { customerId }) => keepCustomer(tx, build, customerId))];
}
