import type { Queries } from "../../mesh/store/connect.ts";
import type { Tx } from "../../mesh/store/transaction.ts";
import type { Payment, PaymentState, StoredPayment } from "./payment.ts";

interface PaymentRow {
  readonly order_id: string;
  readonly customer_id: string;
  readonly amount_cents: number | null;
  readonly state: PaymentState;
  readonly refunded_cents: number;
  readonly created_at: Date;
  readonly updated_at: Date;
}

function toPayment(row: PaymentRow): StoredPayment {
  return {
    orderId: row.order_id,
    customerId: row.customer_id,
    amountCents: row.amount_cents ?? undefined,
    state: row.state,
    refundedCents: row.refunded_cents,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** The payment of an order; undefined if there is none. */
export async function findPayment(sql: Queries, orderId: string): Promise<StoredPayment | undefined> {
  const [row] = await sql<PaymentRow[]>`SELECT * FROM payment WHERE order_id = ${orderId}`;
  return row && toPayment(row);
}

/** Reads a payment and keeps others from changing it until the transaction ends. */
export async function lockPayment(tx: Tx, orderId: string): Promise<StoredPayment | undefined> {
  const [row] = await tx<PaymentRow[]>`SELECT * FROM payment WHERE order_id = ${orderId} FOR UPDATE`;
  return row && toPayment(row);
}

/** Adds a payment. Undefined if the order has one: then that one stays. */
export async function insertPayment(tx: Tx, payment: Payment): Promise<StoredPayment | undefined> {
  const { orderId, customerId, amountCents = null, state, refundedCents } = payment;
  const [row] = await tx<PaymentRow[]>`
    INSERT INTO payment (order_id, customer_id, amount_cents, state, refunded_cents)
    VALUES (${orderId}, ${customerId}, ${amountCents}, ${state}, ${refundedCents})
    ON CONFLICT DO NOTHING RETURNING *`;
  return row && toPayment(row);
}

/** Writes what a payment has become. */
export async function updatePayment(tx: Tx, payment: Payment): Promise<StoredPayment> {
  const { orderId, amountCents = null, state, refundedCents } = payment;
  const [row] = await tx<PaymentRow[]>`
    UPDATE payment
    SET amount_cents = ${amountCents}, state = ${state}, refunded_cents = ${refundedCents}, updated_at = now()
    WHERE order_id = ${orderId} RETURNING *`;
  if (!row) throw new Error(`the payment of order ${orderId} is gone`);
  return toPayment(row);
}
