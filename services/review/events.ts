import { OrderConfirmedSchema } from "../../gen/shop/order/v1/order_event_pb.ts";
import { ReviewPostedSchema, ReviewRemovedSchema } from "../../gen/shop/review/v1/review_event_pb.ts";
import { on } from "../../mesh/events/handlers.ts";
import { publish, publishVersion } from "../../mesh/events/publish.ts";
import type { Tx } from "../../mesh/store/transaction.ts";
import type { Review } from "./review.ts";
import { addBuyer } from "./store.ts";

/** Announces a new review. Resolves with the version of the product's reviews that has it in it. */
export function reviewPosted(tx: Tx, { productId, reviewId, customerId, rating }: Review): Promise<number> {
  return publishVersion(tx, ReviewPostedSchema, { productId, reviewId, customerId, rating });
}

/** Announces that a review is gone. */
export function reviewRemoved(tx: Tx, { productId, reviewId, rating }: Review): Promise<void> {
  return publish(tx, ReviewRemovedSchema, { productId, reviewId, rating });
}

/** Keeps the replica of who bought what. */
export const buyerHandlers = [
  on(OrderConfirmedSchema, (tx, { customerId, lines }) => {
    const productIds = lines.map((line) => line.productId);
    return addBuyer(tx, customerId, productIds);
  }),
];
