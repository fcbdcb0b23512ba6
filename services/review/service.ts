import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { CreateReviewResponseSchema, ReviewService } from "../../gen/shop/review/v1/review_service_pb.ts";
import { markDegraded } from "../../mesh/resilience/degraded.ts";
import { cutPage, pageSize, readPageToken } from "../../mesh/rpc/server/page.ts";
import type { Sql } from "../../mesh/store/connect.ts";
import { once } from "../../mesh/store/once.ts";
import { type Tx, transaction } from "../../mesh/store/transaction.ts";
import type { Clients } from "./clients.ts";
import { reviewPosted, reviewRemoved } from "./events.ts";
import { toMessage, toRatingMessage, toReview } from "./messages.ts";
import { notABuyer, type Review, reviewNotFound } from "./review.ts";
import { countRatings, findReview, hasBought, insertReview, listReviews, removeReview } from "./store.ts";

const NEWEST = 10;

/** The RPCs of ReviewService. */
export function reviewService(sql: Sql, clients: Clients): ServiceImpl<typeof ReviewService> {
  async function post(tx: Tx, review: Review) {
    if (!(await hasBought(tx, review.customerId, review.productId))) throw notABuyer(review);
    const posted = await insertReview(tx, review);
    const ratingVersion = await reviewPosted(tx, posted);
    return create(CreateReviewResponseSchema, { review: toMessage(posted), ratingVersion });
  }

  return {
    createReview(request) {
      const { customerId, requestId } = request;
      const key = { caller: customerId, requestId, request };
      return transaction(sql, (tx) =>
        once(tx, ReviewService.method.createReview, key, () => post(tx, toReview(request))),
      );
    },

    async getReview({ reviewId }) {
      const found = await findReview(sql, reviewId);
      if (!found || found.isRemoved) throw reviewNotFound(reviewId);
      return { review: toMessage(found) };
    },

    async listReviews({ productId, pageSize: asked, pageToken }) {
      const [after] = readPageToken(pageToken, 1) ?? [];
      const size = pageSize(asked);
      const found = await listReviews(sql, { productId, after, limit: size + 1 });
      const [reviews, nextPageToken] = cutPage(found, size, (review) => [review.reviewId]);
      return { reviews: reviews.map(toMessage), nextPageToken };
    },

    async deleteReview({ reviewId }) {
      await transaction(sql, async (tx) => {
        const removed = await removeReview(tx, reviewId);
        if (removed) await reviewRemoved(tx, removed);
        else if (!(await findReview(tx, reviewId))) throw reviewNotFound(reviewId);
      });
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
