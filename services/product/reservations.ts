import { ProductError } from "../../gen/shop/product/v1/product_error_pb.ts";
import type { Tx } from "../../mesh/store/transaction.ts";
import { stockReleased, stockReserved } from "./events.ts";
import {
  checkSameReservation,
  inLockOrder,
  type Line,
  productNotFound,
  type Reservation,
  refuse,
} from "./product.ts";
import {
  findProducts,
  insertLines,
  insertReservation,
  lockReservation,
  returnStock,
  setReservationState,
  takeStock,
} from "./store.ts";

/** Holds all lines for an order, or, by throwing, none. What the order holds already stays as it is. */
export async function reserve(tx: Tx, orderId: string, lines: readonly Line[]): Promise<Reservation> {
  if (!(await insertReservation(tx, orderId, "RESERVED"))) {
    const held = await theReservation(tx, orderId);
    checkSameReservation(held, lines);
    return held;
  }
  const ordered = inLockOrder(lines);
  for (const line of ordered) {
    const left = await takeStock(tx, line);
    if (left === undefined) throw await shortOf(tx, line);
    await stockReserved(tx, orderId, line, left);
  }
  await insertLines(tx, orderId, ordered);
  return { orderId, lines: ordered, state: "RESERVED" };
}

/** Sells what an order holds. */
export async function commit(tx: Tx, orderId: string): Promise<Reservation> {
  const held = await theReservation(tx, orderId);
  if (held.state === "RELEASED") {
    throw refuse(ProductError.RESERVATION_RELEASED, `the reservation of order ${orderId} was released`);
  }
  if (held.state === "RESERVED") await setReservationState(tx, orderId, "COMMITTED");
  return { ...held, state: "COMMITTED" };
}

/** Gives back what an order holds; an order that holds nothing cannot reserve any more. */
export async function release(tx: Tx, orderId: string): Promise<Reservation> {
  if (await insertReservation(tx, orderId, "RELEASED")) return { orderId, lines: [], state: "RELEASED" };
  const held = await theReservation(tx, orderId);
  if (held.state === "COMMITTED") {
    throw refuse(ProductError.RESERVATION_COMMITTED, `the stock of order ${orderId} is sold`);
  }
  if (held.state === "RESERVED") {
    for (const line of inLockOrder(held.lines))
      await stockReleased(tx, orderId, line, await returnStock(tx, line));
    await setReservationState(tx, orderId, "RELEASED");
  }
  return { ...held, state: "RELEASED" };
}

async function theReservation(tx: Tx, orderId: string): Promise<Reservation> {
  const held = await lockReservation(tx, orderId);
  if (!held) throw refuse(ProductError.RESERVATION_NOT_FOUND, `order ${orderId} has reserved nothing`);
  return held;
}

async function shortOf(tx: Tx, { productId, quantity }: Line) {
  const [product] = await findProducts(tx, [productId]);
  if (!product) return productNotFound(productId);
  const text = `only ${product.availableStock} of ${productId} are available, not ${quantity}`;
  const metadata = { product_id: productId, available_stock: String(product.availableStock) };
  return refuse(ProductError.OUT_OF_STOCK, text, { metadata });
}
