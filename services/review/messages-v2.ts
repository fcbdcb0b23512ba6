import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Review as ReviewMessage, ReviewSchema } from "../../gen/shop/review/v2/review_pb.ts";
import type { CreateReviewRequest } from "../../gen/shop/review/v2/review_service_pb.ts";
import { newId } from "../../mesh/core/ids.ts";
import type { Review, StoredReview } from "./review.ts";

/** A review as v2 of the contract says it. */
export function toMessage({
  reviewId,
  productId,
  customerId,
  halfStars,
  title,
  body,
  createdAt,
}: StoredReview): ReviewMessage {
  const createTime = timestampFromDate(createdAt);
  return create(ReviewSchema, { reviewId, productId, customerId, halfStars, title, body, createTime });
}

/** The review that a request asks for, under an id of its own. */
export function toReview({ productId, customerId, halfStars, title, body }: CreateReviewRequest): Review {
  return { reviewId: newId(), productId, customerId, halfStars, title, body };
}
