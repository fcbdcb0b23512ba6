import { RestockProductSchema } from "../../gen/shop/product/v1/product_command_pb.ts";
import {
  ProductCreatedSchema,
  ProductPriceChangedSchema,
  StockLowSchema,
  StockReleasedSchema,
  StockReservedSchema,
  StockRestockedSchema,
} from "../../gen/shop/product/v1/product_event_pb.ts";
import {
  type ReviewPosted,
  ReviewPostedSchema,
  type ReviewRemoved,
  ReviewRemovedSchema,
} from "../../gen/shop/review/v1/review_event_pb.ts";
import { newId } from "../../mesh/core/ids.ts";
import { euro } from "../../mesh/core/money.ts";
import { on } from "../../mesh/events/handlers.ts";
import { publish, send } from "../../mesh/events/publish.ts";
import { beginSaga, type Saga } from "../../mesh/events/saga.ts";
import type { Tx } from "../../mesh/store/transaction.ts";
import { becameLow, type Line, LOW_STOCK, type Product, RESTOCK_QUANTITY, type Restock } from "./product.ts";
import type { RestockState } from "./saga.ts";
import { addRating, insertRestock } from "./store.ts";

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

/** Announces that an order holds pieces; if it took the last of enough, also that few are left, and has more brought. */
export async function stockReserved(
  tx: Tx,
  orderId: string,
  line: Line,
  availableStock: number,
): Promise<void> {
  await publish(tx, StockReservedSchema, { ...line, orderId, availableStock });
  if (!becameLow(availableStock, line.quantity)) return;
  const { productId } = line;
  await publish(tx, StockLowSchema, { productId, availableStock, threshold: LOW_STOCK });
  await send(tx, RestockProductSchema, { restockId: newId(), productId, quantity: RESTOCK_QUANTITY });
}

/** Announces that an order gave pieces back. */
export function stockReleased(tx: Tx, orderId: string, line: Line, availableStock: number): Promise<void> {
  return publish(tx, StockReleasedSchema, { ...line, orderId, availableStock });
}

/** Announces that the supplier has brought pieces. */
export function stockRestocked(tx: Tx, restock: Restock, availableStock: number): Promise<void> {
  return publish(tx, StockRestockedSchema, { ...restock, availableStock });
}

/** Does what this service asks of itself. */
export function commandHandlers(saga: Saga<RestockState>) {
  return [
    on(RestockProductSchema, async (tx, { restockId, productId, quantity }) => {
      if (await insertRestock(tx, { restockId, productId, quantity }))
        await beginSaga(tx, saga, restockId, "ORDERED");
    }),
  ];
}

/** Keeps the replica of the ratings. */
export function ratingHandlers(build: number) {
  return [
    on(ReviewPostedSchema, (tx, event) =>
      addRating(tx, build, { productId: event.productId, sum: starsOf(event), count: 1 }),
    ),
    on(ReviewRemovedSchema, (tx, event) =>
      addRating(tx, build, { productId: event.productId, sum: -starsOf(event), count: -1 }),
    ),
  ];
}

/** Upcasts what was published before there were half stars. */
function starsOf({ halfStars, rating }: ReviewPosted | ReviewRemoved): number {
  return halfStars === 0 ? rating : halfStars / 2;
}
