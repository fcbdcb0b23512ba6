import {
  ProductCreatedSchema,
  ProductPriceChangedSchema,
  StockLowSchema,
  StockReleasedSchema,
  StockReservedSchema,
} from "../../gen/shop/product/v1/product_event_pb.ts";
import { ReviewPostedSchema, ReviewRemovedSchema } from "../../gen/shop/review/v1/review_event_pb.ts";
import { euro } from "../../mesh/core/money.ts";
import { on } from "../../mesh/events/handlers.ts";
import { publish } from "../../mesh/events/publish.ts";
import type { Tx } from "../../mesh/store/transaction.ts";
import { becameLow, type Line, LOW_STOCK, type Product } from "./product.ts";
import { addRating } from "./store.ts";

/** Announces a new product. */
export function productCreated(
  tx: Tx,
  { productId, name, priceCents, availableStock }: Product,
): Promise<void> {
  return publish(tx, ProductCreatedSchema, { productId, name, price: euro(priceCents), availableStock });
}

/** Announces a new price, if it is one. */
export async function priceChanged(tx: Tx, before: Product, after: Product): Promise<void> {
  if (before.priceCents === after.priceCents) return;
  const [oldPrice, newPrice] = [euro(before.priceCents), euro(after.priceCents)];
  await publish(tx, ProductPriceChangedSchema, { productId: after.productId, oldPrice, newPrice });
}

/** Announces that an order holds pieces, and that few are left if it took the last of enough. */
export async function stockReserved(
  tx: Tx,
  orderId: string,
  line: Line,
  availableStock: number,
): Promise<void> {
  await publish(tx, StockReservedSchema, { ...line, orderId, availableStock });
  if (!becameLow(availableStock, line.quantity)) return;
  await publish(tx, StockLowSchema, { productId: line.productId, availableStock, threshold: LOW_STOCK });
}

/** Announces that an order gave pieces back. */
export function stockReleased(tx: Tx, orderId: string, line: Line, availableStock: number): Promise<void> {
  return publish(tx, StockReleasedSchema, { ...line, orderId, availableStock });
}

/** Keeps the replica of the ratings. */
export const ratingHandlers = [
  on(ReviewPostedSchema, (tx, { productId, rating }) => addRating(tx, productId, rating, 1)),
  on(ReviewRemovedSchema, (tx, { productId, rating }) => addRating(tx, productId, -rating, -1)),
];
