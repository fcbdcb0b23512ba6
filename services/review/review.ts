import { ReviewError, ReviewErrorSchema } from "../../gen/shop/review/v1/review_error_pb.ts";
import { refusals } from "../../mesh/contract/reasons.ts";

/** The refusals of this service. */
export const refuse = refusals<ReviewError>(ReviewErrorSchema);

/** What a buyer says about a product. */
export interface Review {
  readonly reviewId: string;
  readonly productId: string;
  readonly customerId: string;
  /** 1 (worst) to 5 (best). */
  readonly rating: number;
  readonly title: string;
  readonly body: string;
}

/** A review as it is kept. */
export interface StoredReview extends Review {
  readonly createdAt: Date;
}

/** What all reviews of a product say. */
export interface Ratings {
  readonly sum: number;
  readonly count: number;
}

/** The mean of all ratings; 0 while there are none. */
export function averageOf({ sum, count }: Ratings): number {
  return count === 0 ? 0 : sum / count;
}

/** The refusal of an id that names no review, or one that was removed. */
export function reviewNotFound(reviewId: string) {
  const metadata = { review_id: reviewId };
  return refuse(ReviewError.REVIEW_NOT_FOUND, `there is no review ${reviewId}`, { metadata });
}

/** The refusal of a review by somebody who has not bought the product, as far as is known here yet. */
export function notABuyer({ customerId, productId }: Review) {
  const metadata = { customer_id: customerId, product_id: productId };
  return refuse(ReviewError.NOT_A_BUYER, `${customerId} has not bought ${productId}`, { metadata });
}

/** The refusal of an id that names no product. */
export function productNotFound(productId: string) {
  const metadata = { product_id: productId };
  return refuse(ReviewError.PRODUCT_NOT_FOUND, `there is no product ${productId}`, { metadata });
}
