import { ReviewError, ReviewErrorSchema } from "../../gen/shop/review/v1/review_error_pb.ts";
import {
  ReviewError as ReviewErrorV2,
  ReviewErrorSchema as ReviewErrorV2Schema,
} from "../../gen/shop/review/v2/review_error_pb.ts";
import { refusals } from "../../mesh/contract/reasons.ts";

/** What a buyer says about a product. */
export interface Review {
  readonly reviewId: string;
  readonly productId: string;
  readonly customerId: string;
  /** 2 (one star, the worst) to 10 (five stars, the best). */
  readonly halfStars: number;
  readonly title: string;
  readonly body: string;
}

/** A review as it is kept. */
export interface StoredReview extends Review {
  readonly createdAt: Date;
}

/** What all reviews of a product say. */
export interface Ratings {
  readonly halfStarsSum: number;
  readonly count: number;
}

/** The mean of all ratings, in stars; 0 while there are none. */
export function averageOf({ halfStarsSum, count }: Ratings): number {
  return count === 0 ? 0 : halfStarsSum / 2 / count;
}

/** Whole stars, for who knows no others: a half counts as one. */
export function wholeStars(halfStars: number): number {
  return Math.ceil(halfStars / 2);
}

/** The refusals of one version of the contract. */
export type Refusals = ReturnType<typeof refusalsOf>;

function refusalsOf<Reason extends number>(
  reasons: Parameters<typeof refusals>[0],
  { REVIEW_NOT_FOUND, NOT_A_BUYER }: { readonly REVIEW_NOT_FOUND: Reason; readonly NOT_A_BUYER: Reason },
) {
  const refuse = refusals<Reason>(reasons);
  return {
    /** The refusal of an id that names no review, or one that was removed. */
    reviewNotFound(reviewId: string) {
      const metadata = { review_id: reviewId };
      return refuse(REVIEW_NOT_FOUND, `there is no review ${reviewId}`, { metadata });
    },

    /** The refusal of a review by somebody who has not bought the product, as far as is known here yet. */
    notABuyer({ customerId, productId }: Pick<Review, "customerId" | "productId">) {
      const metadata = { customer_id: customerId, product_id: productId };
      return refuse(NOT_A_BUYER, `${customerId} has not bought ${productId}`, { metadata });
    },
  };
}

/** The refusals of `shop.review.v1`. */
export const refusalsV1 = refusalsOf(ReviewErrorSchema, ReviewError);

/** The refusals of `shop.review.v2`. */
export const refusalsV2 = refusalsOf(ReviewErrorV2Schema, ReviewErrorV2);

const refuseV1 = refusals<ReviewError>(ReviewErrorSchema);

/** The refusal of an id that names no product. */
export function productNotFound(productId: string) {
  const metadata = { product_id: productId };
  return refuseV1(ReviewError.PRODUCT_NOT_FOUND, `there is no product ${productId}`, { metadata });
}
