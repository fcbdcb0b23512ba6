import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Order as OrderMessage, OrderSchema, OrderState } from "../../gen/shop/order/v1/order_pb.ts";
import { euro } from "../../mesh/core/money.ts";
import type { Line, Order } from "./order.ts";

/** An order as the contract says it. */
export function toMessage(order: Order): OrderMessage {
  const { refundedCents } = order;
  return create(OrderSchema, {
    orderId: order.orderId,
    customerId: order.customerId,
    lines: order.lines.map(toLineMessage),
    total: euro(order.totalCents),
    state: OrderState[order.state],
    rejectionReason: order.rejectionReason,
    cancelReason: order.cancelReason,
    createTime: timestampFromDate(order.createdAt),
    updateTime: timestampFromDate(order.updatedAt),
    ...(refundedCents !== null && { refunded: euro(refundedCents) }),
  });
}

/** A line as the contract says it. */
export function toLineMessage({ productId, quantity, unitPriceCents }: Line) {
  return { productId, quantity, unitPrice: euro(unitPriceCents) };
}
