import type { DescMethod } from "@bufbuild/protobuf";
import { ReviewPostedSchema } from "../../gen/shop/review/v1/review_event_pb.ts";
import { notAllowed } from "../../mesh/auth/enforce-access.ts";
import { assertOwner } from "../../mesh/auth/owner.ts";
import { eventContract } from "../../mesh/contract/event.ts";
import { cutPage, pageSize, readPageToken } from "../../mesh/rpc/server/page.ts";
import type { Sql } from "../../mesh/store/connect.ts";
import { type Tx, transaction } from "../../mesh/store/transaction.ts";
import { reviewPosted, reviewRemoved } from "./events.ts";
import type { Refusals, Review, StoredReview } from "./review.ts";
import { findReview, hasBought, insertReview, listRatings, listReviews, removeReview } from "./store.ts";

/** Where a page begins, and how long it is, as requests of every version say it. */
export interface PageRequest {
  readonly pageSize: number;
  readonly pageToken: string;
}

/** Posts a review of a buyer and announces it, with the version of the product's reviews that has it in it. */
export async function postReview(tx: Tx, review: Review, { notABuyer }: Refusals) {
  if (!(await hasBought(tx, review.customerId, review.productId))) throw notABuyer(review);
  const posted = await insertReview(tx, review);
  return { posted, ratingVersion: await reviewPosted(tx, posted) };
}

/** The review with this id. */
export async function getReview(
  sql: Sql,
  reviewId: string,
  { reviewNotFound }: Refusals,
): Promise<StoredReview> {
  const found = await findReview(sql, reviewId);
  if (!found || found.isRemoved) throw reviewNotFound(reviewId);
  return found;
}

/** A page of a product's reviews, newest first. */
export async function reviewPage(sql: Sql, productId: string, { pageSize: asked, pageToken }: PageRequest) {
  const [after] = readPageToken(pageToken, 1) ?? [];
  const size = pageSize(asked);
  const found = await listReviews(sql, { productId, after, limit: size + 1 });
  const [reviews, nextPageToken] = cutPage(found, size, (review) => [review.reviewId]);
  return { reviews, nextPageToken };
}

/** A page of what the reviews of each product come to, by product. */
export async function ratingPage(sql: Sql, { pageSize: asked, pageToken }: PageRequest) {
  const [after = ""] = readPageToken(pageToken, 1) ?? [];
  const size = pageSize(asked);
  const { stream } = eventContract(ReviewPostedSchema);
  const found = await listRatings(sql, { stream, after, limit: size + 1 });
  const [ratings, nextPageToken] = cutPage(found, size, ({ productId }) => [productId]);
  return { ratings, nextPageToken };
}

/** Removes a review and announces that, unless it was removed before. Throws NOT_ALLOWED to others than its author. */
export async function deleteReview(
  sql: Sql,
  reviewId: string,
  method: DescMethod,
  { reviewNotFound }: Refusals,
): Promise<void> {
  await transaction(sql, async (tx) => {
    const found = await findReview(tx, reviewId);
    if (!found) throw reviewNotFound(reviewId);
    // Everybody may read it, so there is nothing to hide.
    assertOwner(found.customerId, () => notAllowed(method));
    const removed = await removeReview(tx, reviewId);
    if (removed) await reviewRemoved(tx, removed);
  });
}
