import type { Queries } from "../../mesh/store/connect.ts";
import { liveBuildIn } from "../../mesh/store/live-build.ts";
import type { Tx } from "../../mesh/store/transaction.ts";
import { type Line, type NewOrder, type Order, type OrderState, orderNotFound, totalOf } from "./order.ts";

interface OrderRow {
  readonly order_id: string;
  readonly customer_id: string;
  readonly total_cents: number;
  readonly payment_token: string | null;
  readonly state: OrderState;
  readonly rejection_reason: string;
  readonly cancel_reason: string;
  readonly refunded_cents: number | null;
  readonly created_at: Date;
  readonly updated_at: Date;
  readonly lines: readonly Line[];
}

function columns(sql: Queries) {
  return sql`
    o.order_id, o.customer_id, o.total_cents, o.payment_token, o.state, o.rejection_reason, o.cancel_reason,
    o.refunded_cents, o.created_at, o.updated_at,
    (SELECT json_agg(json_build_object('productId', l.product_id, 'quantity', l.quantity,
                                       'unitPriceCents', l.unit_price_cents) ORDER BY l.position)
     FROM order_line l WHERE l.order_id = o.order_id) AS lines
    FROM orders o`;
}

function toOrder(row: OrderRow): Order {
  return {
    orderId: row.order_id,
    customerId: row.customer_id,
    lines: row.lines,
    totalCents: row.total_cents,
    paymentToken: row.payment_token,
    state: row.state,
    rejectionReason: row.rejection_reason,
    cancelReason: row.cancel_reason,
    refundedCents: row.refunded_cents,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** Reads an order. Throws ORDER_NOT_FOUND. */
export async function readOrder(sql: Queries, orderId: string): Promise<Order> {
  const [row] = await sql<OrderRow[]>`SELECT ${columns(sql)} WHERE o.order_id = ${orderId}`;
  if (!row) throw orderNotFound(orderId);
  return toOrder(row);
}

/** A customer's orders, newest first, those that are older than `before`. */
export async function listOrders(
  sql: Queries,
  { customerId, before, limit }: { customerId: string; before: string | undefined; limit: number },
): Promise<Order[]> {
  const rows = await sql<OrderRow[]>`
    SELECT ${columns(sql)}
    WHERE o.customer_id = ${customerId} ${before === undefined ? sql`` : sql`AND o.order_id < ${before}`}
    ORDER BY o.order_id DESC LIMIT ${limit}`;
  return rows.map(toOrder);
}

/** What was bought by an order, and which of the order's events are in it. */
export interface Purchase {
  readonly orderId: string;
  readonly customerId: string;
  /** Empty unless the order is confirmed. */
  readonly productIds: readonly string[];
  /** The number of the order's last event that is in it. */
  readonly version: number;
}

/** What was bought by each order that has announced something, by order after `after`. */
export async function listPurchases(
  sql: Queries,
  { stream, after, limit }: { stream: string; after: string; limit: number },
): Promise<Purchase[]> {
  // In one statement, so that it is the number of the last event that this state has published.
  return sql<Purchase[]>`
    SELECT k.key AS "orderId", o.customer_id AS "customerId", k.last_seq AS version,
      (SELECT coalesce(json_agg(l.product_id ORDER BY l.position), '[]') FROM order_line l
       WHERE l.order_id = o.order_id AND o.state = 'CONFIRMED') AS "productIds"
    FROM event_key k JOIN orders o ON o.order_id = k.key
    WHERE k.stream = ${stream} AND k.key > ${after} ORDER BY k.key LIMIT ${limit}`;
}

/** Keeps a new order. */
export async function insertOrder(
  tx: Tx,
  { orderId, customerId, lines, paymentToken }: NewOrder,
): Promise<Order> {
  await tx`
    INSERT INTO orders (order_id, customer_id, total_cents, payment_token, state)
    VALUES (${orderId}, ${customerId}, ${totalOf(lines)}, ${paymentToken}, 'PENDING')`;
  const rows = lines.map(({ productId, quantity, unitPriceCents }, position) => ({
    order_id: orderId,
    position,
    product_id: productId,
    quantity,
    unit_price_cents: unitPriceCents,
  }));
  await tx`INSERT INTO order_line ${tx(rows)}`;
  return readOrder(tx, orderId);
}

/** Records the final state of an order, and forgets what is not needed any more. */
export async function endOrder(
  tx: Tx,
  orderId: string,
  state: Exclude<OrderState, "PENDING">,
  rejectionReason: string,
): Promise<Order> {
  await tx`
    UPDATE orders
    SET state = ${state}, rejection_reason = ${rejectionReason}, payment_token = NULL, updated_at = now()
    WHERE order_id = ${orderId}`;
  return readOrder(tx, orderId);
}

/** Keeps the customer's words. */
export async function setCancelReason(tx: Tx, orderId: string, reason: string): Promise<void> {
  await tx`UPDATE orders SET cancel_reason = ${reason}, updated_at = now() WHERE order_id = ${orderId}`;
}

/** Keeps what was paid back in all. */
export async function setRefunded(tx: Tx, orderId: string, refundedCents: number): Promise<void> {
  await tx`UPDATE orders SET refunded_cents = ${refundedCents}, updated_at = now() WHERE order_id = ${orderId}`;
}

/** True if the customer has called the order off and it is being undone. */
export async function isBeingCancelled(tx: Tx, orderId: string, byCustomer: string): Promise<boolean> {
  const rows = await tx`
    SELECT 1 FROM order_saga WHERE order_id = ${orderId} AND state = 'COMPENSATING' AND reason = ${byCustomer}`;
  return rows.length > 0;
}

/** Keeps what a product costs, in a build of the prices. */
export async function keepPrice(tx: Tx, build: number, productId: string, priceCents: number): Promise<void> {
  await tx`
    INSERT INTO product_replica (build, product_id, price_cents) VALUES (${build}, ${productId}, ${priceCents})
    ON CONFLICT (build, product_id) DO UPDATE SET price_cents = EXCLUDED.price_cents, synced_at = now()`;
}

/** Deletes the prices of a build. */
export async function dropPrices(tx: Tx, build: number): Promise<void> {
  await tx`DELETE FROM product_replica WHERE build = ${build}`;
}

/** What these products cost as far as is known here, by their ids; those that nobody has heard of are left out. */
export async function knownPrices(
  sql: Queries,
  productIds: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const rows = await sql<{ product_id: string; price_cents: number }[]>`
    SELECT product_id, price_cents FROM product_replica
    WHERE build = ${liveBuildIn(sql, "products")} AND product_id = ANY (${[...productIds]})`;
  return new Map(rows.map((row) => [row.product_id, row.price_cents]));
}

/** Keeps that there is this customer, in a build of the customers. */
export async function keepCustomer(tx: Tx, build: number, customerId: string): Promise<void> {
  await tx`
    INSERT INTO customer_replica (build, customer_id) VALUES (${build}, ${customerId})
    ON CONFLICT (build, customer_id) DO UPDATE SET synced_at = now()`;
}

/** Deletes the customers of a build. */
export async function dropCustomers(tx: Tx, build: number): Promise<void> {
  await tx`DELETE FROM customer_replica WHERE build = ${build}`;
}

/** True if the customer is known here. */
export async function isKnownCustomer(sql: Queries, customerId: string): Promise<boolean> {
  const rows = await sql`
    SELECT 1 FROM customer_replica
    WHERE build = ${liveBuildIn(sql, "customers")} AND customer_id = ${customerId}`;
  return rows.length > 0;
}
