import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type Payment as PaymentMessage,
  PaymentSchema,
  PaymentState,
} from "../../gen/shop/payment/v1/payment_pb.ts";
import { euro } from "../../mesh/core/money.ts";
import { paymentNotFound, type StoredPayment } from "./payment.ts";

/** A payment as the contract says it. Throws PAYMENT_NOT_FOUND for one whose provider has not said yet. */
export function toMessage(payment: StoredPayment): PaymentMessage {
  const { orderId, customerId, amountCents, state, refundedCents, createdAt, updatedAt } = payment;
  if (state === "AUTHORIZING") throw paymentNotFound(orderId);
  return create(PaymentSchema, {
    orderId,
    customerId,
    ...(amountCents !== undefined && { amount: euro(amountCents) }),
    state: PaymentState[state],
    ...(refundedCents > 0 && { refunded: euro(refundedCents) }),
    createTime: timestampFromDate(createdAt),
    updateTime: timestampFromDate(updatedAt),
  });
}
