import { ProductError, ProductErrorSchema } from "../../gen/shop/product/v1/product_error_pb.ts";
import { refusals } from "../../mesh/contract/reasons.ts";

/** The refusals of this service. */
export const refuse = refusals<ProductError>(ProductErrorSchema);

/** One thing for sale. */
export interface Product {
  readonly productId: string;
  readonly name: string;
  readonly description: string;
  readonly priceCents: number;
  readonly availableStock: number;
}

/** A product as it is kept, with what others say of it. */
export interface StoredProduct extends Product {
  readonly ratingSum: number;
  readonly ratingCount: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** A quantity of one product. */
export interface Line {
  readonly productId: string;
  readonly quantity: number;
}

/** What one order holds. */
export interface Reservation {
  readonly orderId: string;
  readonly lines: readonly Line[];
  readonly state: "RESERVED" | "COMMITTED" | "RELEASED";
}

/** What the reviews of a product come to, or add to it. */
export interface Ratings {
  readonly productId: string;
  /** In stars, with halves. */
  readonly sum: number;
  readonly count: number;
}

/** Pieces that the supplier was asked to bring. */
export interface Restock extends Line {
  readonly restockId: string;
}

/** How many pieces are ordered when the stock of a product is low. */
export const RESTOCK_QUANTITY = 20;

/** Below this many pieces the stock of a product is low. */
export const LOW_STOCK = 5;

/** True if taking `quantity` pieces brought the stock from enough to low. */
export function becameLow(availableStock: number, quantity: number): boolean {
  return availableStock < LOW_STOCK && availableStock + quantity >= LOW_STOCK;
}

/** The mean of all ratings; 0 while there are none. */
export function averageOf({ ratingSum, ratingCount }: StoredProduct): number {
  return ratingCount === 0 ? 0 : ratingSum / ratingCount;
}

/** Lines in the order of their products, in which all locks are taken: two orders never wait for each other. */
export function inLockOrder(lines: readonly Line[]): Line[] {
  return [...lines].sort((a, b) => (a.productId < b.productId ? -1 : 1));
}

/** Throws if an order that holds this cannot reserve `lines`. */
export function checkSameReservation(held: Reservation, lines: readonly Line[]): void {
  if (held.state === "RELEASED") {
    throw refuse(ProductError.RESERVATION_RELEASED, `the reservation of order ${held.orderId} was released`);
  }
  const text = (some: readonly Line[]) =>
    inLockOrder(some)
      .map((l) => `${l.productId}:${l.quantity}`)
      .join();
  if (text(held.lines) !== text(lines)) {
    throw refuse(ProductError.RESERVATION_DIFFERS, `order ${held.orderId} has reserved other lines`);
  }
}

/** The refusal of an id that names no product. */
export function productNotFound(productId: string) {
  const metadata = { product_id: productId };
  return refuse(ProductError.PRODUCT_NOT_FOUND, `there is no product ${productId}`, { metadata });
}
