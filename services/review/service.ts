import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { CreateReviewResponseSchema, ReviewService } from "../../gen/shop/review/v1/review_service_pb.ts";
import { markDegraded } from "../../mesh/resilience/degraded.ts";
import type { Sql } from "../../mesh/store/connect.ts";
import { once } from "../../mesh/store/once.ts";
import { transaction } from "../../mesh/store/transaction.ts";
import type { Clients } from "./clients.ts";
import { toMessage, toRatingMessage, toReview } from "./messages.ts";
import { refusalsV1 } from "./review.ts";
import { deleteReview, getReview, postReview, ratingPage, reviewPage } from "./reviews.ts";
import { countRatings, listReviews } from "./store.ts";

const NEWEST = 10;

/** The RPCs of `shop.review.v1`, which knows whole stars only. */
export function reviewService(sql: Sql, clients: Clients): ServiceImpl<typeof ReviewService> {
  return {
    createReview(request) {
      const key = { caller: request.customerId, requestId: request.requestId, request };
      return transaction(sql, (tx) =>
        once(tx, ReviewService.method.createReview, key, async () => {
          const { posted, ratingVersion } = await postReview(tx, toReview(request), refusalsV1);
          return create(CreateReviewResponseSchema, { review: toMessage(posted), ratingVersion });
        }),
      );
    },

    async getReview({ reviewId }) {
      return { review: toMessage(await getReview(sql, reviewId, refusalsV1)) };
    },

    async listReviews(request) {
      const { reviews, nextPageToken } = await reviewPage(sql, request.productId, request);
      return { reviews: reviews.map(toMessage), nextPageToken };
    },

    async listRatings(request) {
      const { ratings, nextPageToken } = await ratingPage(sql, request);
      return {
        ratings: ratings.map(({ productId, wholeStarsSum, count, version }) => ({
          productId,
          sum: BigInt(wholeStarsSum),
          count,
          version,
        })),
        nextPageToken,
      };
    },

    async deleteReview({ reviewId }) {
      await deleteReview(sql, reviewId, ReviewService.method.deleteReview, refusalsV1);
      return {};
    },

    async getReviewedProduct({ productId }, { responseTrailer }) {
      const [{ product, degraded }, reviews, ratings] = await Promise.all([
        clients.product(productId),
        listReviews(sql, { productId, after: undefined, limit: NEWEST }),
        countRatings(sql, productId),
      ]);
      markDegraded(responseTrailer, degraded);
      return {
        ...(product && { product }),
        reviews: reviews.map(toMessage),
        rating: toRatingMessage(ratings),
      };
    },
  };
}
