import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { CreateReviewResponseSchema, ReviewService } from "../../gen/shop/review/v2/review_service_pb.ts";
import type { Sql } from "../../mesh/store/connect.ts";
import { once } from "../../mesh/store/once.ts";
import { transaction } from "../../mesh/store/transaction.ts";
import { toMessage, toReview } from "./messages-v2.ts";
import { refusalsV2 } from "./review.ts";
import { deleteReview, getReview, postReview, ratingPage, reviewPage } from "./reviews.ts";

/** The RPCs of `shop.review.v2`, from the same reviews as those of v1. */
export function reviewServiceV2(sql: Sql): ServiceImpl<typeof ReviewService> {
  return {
    createReview(request) {
      const key = { caller: request.customerId, requestId: request.requestId, request };
      return transaction(sql, (tx) =>
        once(tx, ReviewService.method.createReview, key, async () => {
          const { posted, ratingVersion } = await postReview(tx, toReview(request), refusalsV2);
          return create(CreateReviewResponseSchema, { review: toMessage(posted), ratingVersion });
        }),
      );
    },

    async getReview({ reviewId }) {
      return { review: toMessage(await getReview(sql, reviewId, refusalsV2)) };
    },

    async listReviews(request) {
      const { reviews, nextPageToken } = await reviewPage(sql, request.productId, request);
      return { reviews: reviews.map(toMessage), nextPageToken };
    },

    async listRatings(request) {
      const { ratings, nextPageToken } = await ratingPage(sql, request);
      return {
        ratings: ratings.map(({ productId, halfStarsSum, count, version }) => ({
          productId,
          halfStarsSum: BigInt(halfStarsSum),
          count,
          version,
        })),
        nextPageToken,
      };
    },

    async deleteReview({ reviewId }) {
      await deleteReview(sql, reviewId, ReviewService.method.deleteReview, refusalsV2);
      return {};
    },
  };
}
