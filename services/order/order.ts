import { OrderError, OrderErrorSchema } from "../../gen/shop/order/v1/order_error_pb.ts";
import { reasonName, refusals } from "../../mesh/contract/reasons.ts";

/** The refusals of this service. */
export const refuse = refusals<OrderError>(OrderErrorSchema);

/** What a customer sees of an order. */
export type OrderState = "PENDING" | "CONFIRMED" | "REJECTED" | "CANCELLED";

/** What a customer asks for. */
export interface WantedLine {
  readonly productId: string;
  readonly quantity: number;
}

/** One product of an order, at the price it had when the order was placed. */
export interface Line extends WantedLine {
  readonly unitPriceCents: number;
}

/** An order when it is placed. */
export interface NewOrder {
  readonly orderId: string;
  readonly customerId: string;
  readonly lines: readonly Line[];
  readonly paymentToken: string;
}

/** An order as it is kept. */
export interface Order {
  readonly orderId: string;
  readonly customerId: string;
  readonly lines: readonly Line[];
  readonly totalCents: number;
  /** Null once the order is final. */
  readonly paymentToken: string | null;
  readonly state: OrderState;
  /** An OrderError without its prefix; empty if the order was not rejected. */
  readonly rejectionReason: string;
  readonly cancelReason: string;
  readonly refundedCents: number | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** The sum of all lines. */
export function totalOf(lines: readonly Line[]): number {
  return lines.reduce((sum, line) => sum + line.quantity * line.unitPriceCents, 0);
}

/** True if nothing will change the state any more. */
export function isFinal({ state }: Pick<Order, "state">): boolean {
  return state !== "PENDING";
}

/** The reason of an order that is rejected because a participant refused, in this service's words. */
export function rejectionFor(participantReason: string): string {
  switch (participantReason) {
    case "OUT_OF_STOCK":
      return reasonName(OrderErrorSchema, OrderError.OUT_OF_STOCK);
    case "PAYMENT_DECLINED":
    case "UNKNOWN_TOKEN":
      return reasonName(OrderErrorSchema, OrderError.PAYMENT_DECLINED);
    default:
      return reasonName(OrderErrorSchema, OrderError.REFUSED);
  }
}

/** The refusal of an id that names no order. */
export function orderNotFound(orderId: string) {
  return refuse(OrderError.ORDER_NOT_FOUND, `there is no order ${orderId}`, {
    metadata: { order_id: orderId },
  });
}
