import {
  PaymentAuthorizedSchema,
  PaymentCapturedSchema,
  PaymentDeclinedSchema,
  PaymentRefundedSchema,
  PaymentVoidedSchema,
} from "../../gen/shop/payment/v1/payment_event_pb.ts";
import { euro } from "../../mesh/core/money.ts";
import { publish } from "../../mesh/events/publish.ts";
import type { Tx } from "../../mesh/store/transaction.ts";
import type { Payment } from "./payment.ts";

const OF_STATE = {
  AUTHORIZED: PaymentAuthorizedSchema,
  DECLINED: PaymentDeclinedSchema,
  CAPTURED: PaymentCapturedSchema,
  VOIDED: PaymentVoidedSchema,
} as const;

/** Announces what has become of a payment; `before` is undefined if it is new. */
export async function paymentChanged(tx: Tx, before: Payment | undefined, after: Payment): Promise<void> {
  const { orderId, customerId, amountCents, state, refundedCents } = after;
  const refundNow = refundedCents - (before?.refundedCents ?? 0);
  if (refundNow > 0) {
    const [amount, refundedTotal] = [euro(refundNow), euro(refundedCents)];
    await publish(tx, PaymentRefundedSchema, { orderId, customerId, amount, refundedTotal });
    return;
  }
  // A payment that only begins is nobody else's concern, and one is refunded only by paying back.
  if (state === "AUTHORIZING" || state === "REFUNDED") return;
  const amount = amountCents === undefined ? {} : { amount: euro(amountCents) };
  await publish(tx, OF_STATE[state], { orderId, customerId, ...amount });
}
