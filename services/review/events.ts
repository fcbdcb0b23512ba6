import { OrderConfirmedSchema } from "../../gen/shop/order/v1/order_event_pb.ts";
import { ReviewPostedSchema, ReviewRemovedSchema } from "../../gen/shop/review/v1/review_event_pb.ts";
import { on } from "../../mesh/events/handlers.ts";
import { publish, publishVersion } from "../../mesh/events/publish.ts";
import type { Tx } from "../../mesh/store/transaction.ts";
import { type Review, wholeStars } from "./review.ts";
import { addBuyer } from "./store.ts";

/** Announces a new review. Resolves with the version of the product's reviews that has it in it. */
export function reviewPosted(
  tx: Tx,
  { productId, reviewId, customerId, halfStars }: Review,
): Promise<number> {
  const rating = wholeStars(halfStars);
  return publishVersion(tx, ReviewPostedSchema, { productId, reviewId, customerId, rating, halfStars });
}

/** Announces that a review is gone. */
export function reviewRemoved(tx: Tx, { productId, reviewId, halfStars }: Review): Promise<void> {
  const rating = wholeStars(halfStars);
  return publish(tx, ReviewRemovedSchema, { productId, reviewId, rating, halfStars });
}

/** Keeps the replica of who bought what. */
export function buyerHandlers(build: number) {
  return [
    on(OrderConfirmedSchema, (tx, { customerId, lines }) => {
      const productIds = lines.map((line) => line.productId);
      return addBuyer(tx, build, customerId, productIds);
    }),
  ];
}
