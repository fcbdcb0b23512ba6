import { PaymentError, PaymentErrorSchema } from "../../gen/shop/payment/v1/payment_error_pb.ts";
import { refusals } from "../../mesh/contract/reasons.ts";

/** The refusals of this service. */
export const refuse = refusals<PaymentError>(PaymentErrorSchema);

/** How far a payment is. While it is AUTHORIZING the provider has not said yet, and callers do not see it. */
export type PaymentState = "AUTHORIZING" | "AUTHORIZED" | "DECLINED" | "CAPTURED" | "VOIDED" | "REFUNDED";

/** What is asked to be held. */
export interface Wanted {
  readonly orderId: string;
  readonly customerId: string;
  readonly amountCents: number;
}

/** The one payment of an order. */
export interface Payment {
  readonly orderId: string;
  /** Empty if it was voided before it began. */
  readonly customerId: string;
  /** Undefined if it was voided before the provider held anything. */
  readonly amountCents: number | undefined;
  readonly state: PaymentState;
  readonly refundedCents: number;
}

/** A payment as it is kept. */
export interface StoredPayment extends Payment {
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** What the provider says of a hold. RELEASED: it was let go, and nothing will be held for this order any more. */
export type Outcome = "APPROVED" | "DECLINED" | "RELEASED";

// Each rule below returns the payment as it is afterwards; the same object says that nothing changes.

/** A payment that begins. */
export function authorizing(wanted: Wanted): Payment {
  return { ...wanted, state: "AUTHORIZING", refundedCents: 0 };
}

/** What remembers that an order's payment was voided before it began. */
export function voidedBeforehand(orderId: string): Payment {
  return { orderId, customerId: "", amountCents: undefined, state: "VOIDED", refundedCents: 0 };
}

/** Throws if what is wanted is not what this payment is about. A voided one refuses anything. */
export function checkSamePayment(payment: Payment, wanted: Wanted): void {
  const { orderId, customerId, amountCents, state } = payment;
  if (state === "VOIDED") throw paymentVoided(orderId);
  if (customerId !== wanted.customerId || amountCents !== wanted.amountCents) {
    const text = `the payment of order ${orderId} is over another amount or of another customer`;
    throw refuse(PaymentError.PAYMENT_DIFFERS, text, { metadata: { order_id: orderId } });
  }
}

/** The payment after the provider has spoken. A payment that was decided meanwhile stays as it is. */
export function decided<P extends Payment>(payment: P, outcome: Outcome): P {
  if (payment.state !== "AUTHORIZING") return payment;
  if (outcome === "RELEASED") {
    throw new Error(`the provider let go what order ${payment.orderId} still waits for`);
  }
  return { ...payment, state: outcome === "APPROVED" ? "AUTHORIZED" : "DECLINED" };
}

/** The payment, if its amount is held or was charged. Throws PAYMENT_DECLINED or PAYMENT_VOIDED if it is not. */
export function heldOrCharged<P extends Payment>(payment: P): P {
  const { orderId, state } = payment;
  switch (state) {
    case "AUTHORIZED":
    case "CAPTURED":
    case "REFUNDED":
      return payment;
    case "DECLINED":
      throw paymentDeclined(orderId);
    case "VOIDED":
      throw paymentVoided(orderId);
    case "AUTHORIZING":
      throw paymentNotFound(orderId);
  }
}

/** The payment after its amount was charged. */
export function captured<P extends Payment>(payment: P): P {
  const { state } = heldOrCharged(payment);
  return state === "AUTHORIZED" ? { ...payment, state: "CAPTURED" } : payment;
}

/** The payment after its hold was let go. One that never held anything has no amount then. */
export function voided<P extends Payment>(payment: P): P {
  const { orderId, state } = payment;
  switch (state) {
    case "AUTHORIZING":
      return { ...payment, state: "VOIDED", amountCents: undefined };
    case "AUTHORIZED":
      return { ...payment, state: "VOIDED" };
    case "VOIDED":
    case "DECLINED":
      return payment;
    case "CAPTURED":
    case "REFUNDED": {
      const text = `order ${orderId} is charged, which can only be paid back`;
      throw refuse(PaymentError.PAYMENT_CAPTURED, text, { metadata: { order_id: orderId } });
    }
  }
}

/** The payment after so much of it was paid back. */
export function refunded<P extends Payment>(payment: P, cents: number): P {
  const { orderId, state, amountCents = 0, refundedCents } = payment;
  if (state === "AUTHORIZING") throw paymentNotFound(orderId);
  if (state !== "CAPTURED" && state !== "REFUNDED") {
    const text = `order ${orderId} is not charged, so nothing can be paid back`;
    throw refuse(PaymentError.NOT_CAPTURED, text, { metadata: { order_id: orderId } });
  }
  const total = refundedCents + cents;
  if (total > amountCents) {
    const left = amountCents - refundedCents;
    const text = `${left} cents of order ${orderId} are left to pay back, not ${cents}`;
    const metadata = { order_id: orderId, refundable_cents: String(left) };
    throw refuse(PaymentError.REFUND_EXCEEDS_CAPTURE, text, { metadata });
  }
  return { ...payment, refundedCents: total, state: total === amountCents ? "REFUNDED" : "CAPTURED" };
}

/** The refusal of an order that has no payment. */
export function paymentNotFound(orderId: string) {
  const metadata = { order_id: orderId };
  return refuse(PaymentError.PAYMENT_NOT_FOUND, `there is no payment of order ${orderId}`, { metadata });
}

function paymentDeclined(orderId: string) {
  const metadata = { order_id: orderId };
  return refuse(PaymentError.PAYMENT_DECLINED, `the provider declined the payment of order ${orderId}`, {
    metadata,
  });
}

function paymentVoided(orderId: string) {
  const metadata = { order_id: orderId };
  return refuse(PaymentError.PAYMENT_VOIDED, `the payment of order ${orderId} was voided`, { metadata });
}
