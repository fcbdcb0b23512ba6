import type { Tx } from "../../mesh/store/transaction.ts";
import { paymentChanged } from "./events.ts";
import {
  authorizing,
  checkSamePayment,
  type Payment,
  paymentNotFound,
  type StoredPayment,
  voided,
  voidedBeforehand,
  type Wanted,
} from "./payment.ts";
import { insertPayment, lockPayment, updatePayment } from "./store.ts";

/** Begins the payment of an order, or returns the one that it has. Throws if that is about something else. */
export async function begin(tx: Tx, wanted: Wanted): Promise<StoredPayment> {
  const begun = await insertPayment(tx, authorizing(wanted));
  if (begun) return begun;
  const known = await theLocked(tx, wanted.orderId);
  checkSamePayment(known, wanted);
  return known;
}

/** Applies a rule to the payment of an order, one at a time, and announces what changed. */
export async function change(
  tx: Tx,
  orderId: string,
  rule: (before: StoredPayment) => Payment,
): Promise<StoredPayment> {
  const before = await theLocked(tx, orderId);
  const after = rule(before);
  if (after === before) return before;
  await paymentChanged(tx, before, after);
  return updatePayment(tx, after);
}

/** Lets the hold of an order go; an order without a payment cannot begin one any more. */
export async function letGo(tx: Tx, orderId: string): Promise<StoredPayment> {
  const tombstone = await insertPayment(tx, voidedBeforehand(orderId));
  if (!tombstone) return change(tx, orderId, voided);
  await paymentChanged(tx, undefined, tombstone);
  return tombstone;
}

async function theLocked(tx: Tx, orderId: string): Promise<StoredPayment> {
  const payment = await lockPayment(tx, orderId);
  if (!payment) throw paymentNotFound(orderId);
  return payment;
}
