import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Rating, RatingSchema } from "../../gen/shop/product/v1/product_pb.ts";
import { type Review as ReviewMessage, ReviewSchema } from "../../gen/shop/review/v1/review_pb.ts";
import type { CreateReviewRequest } from "../../gen/shop/review/v1/review_service_pb.ts";
import { newId } from "../../mesh/core/ids.ts";
import { averageOf, type Ratings, type Review, type StoredReview, wholeStars } from "./review.ts";

/** A review as v1 of the contract says it: its rating is rounded up to whole stars. */
export function toMessage(review: StoredReview): ReviewMessage {
  return create(ReviewSchema, {
    reviewId: review.reviewId,
    productId: review.productId,
    customerId: review.customerId,
    rating: wholeStars(review.halfStars),
    title: review.title,
    body: review.body,
    createTime: timestampFromDate(review.createdAt),
  });
}

/** The review that a request asks for, under an id of its own. */
export function toReview({ productId, customerId, rating, title, body }: CreateReviewRequest): Review {
  return { reviewId: newId(), productId, customerId, halfStars: 2 * rating, title, body };
}

/** What all reviews say, as the contract says it. */
export function toRatingMessage(ratings: Ratings): Rating {
  return create(RatingSchema, { average: averageOf(ratings), count: ratings.count });
}
