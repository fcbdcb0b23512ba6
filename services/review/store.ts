import type { Queries } from "../../mesh/store/connect.ts";
import type { Tx } from "../../mesh/store/transaction.ts";
import type { Ratings, Review, StoredReview } from "./review.ts";

interface ReviewRow {
  readonly review_id: string;
  readonly product_id: string;
  readonly customer_id: string;
  readonly rating: number;
  readonly title: string;
  readonly body: string;
  readonly created_at: Date;
  readonly removed_at: Date | null;
}

function columns(sql: Queries) {
  return sql`review_id, product_id, customer_id, rating, title, body, created_at, removed_at`;
}

function toReview(row: ReviewRow): StoredReview & { readonly isRemoved: boolean } {
  return {
    reviewId: row.review_id,
    productId: row.product_id,
    customerId: row.customer_id,
    rating: row.rating,
    title: row.title,
    body: row.body,
    createdAt: row.created_at,
    isRemoved: row.removed_at !== null,
  };
}

/** Reads a review, one that was removed too. */
export async function findReview(sql: Queries, reviewId: string) {
  const [row] = await sql<ReviewRow[]>`SELECT ${columns(sql)} FROM review WHERE review_id = ${reviewId}`;
  return row && toReview(row);
}

/**
 * A product's reviews, newest first, without those that were removed. `after` names a review: then those that stand
 * after it in the list. A removed one still has its place, so that a page that ended with it goes on where it was.
 */
export async function listReviews(
  sql: Queries,
  { productId, after, limit }: { productId: string; after: string | undefined; limit: number },
): Promise<StoredReview[]> {
  const older =
    after === undefined
      ? sql``
      : sql`AND (created_at, review_id) < (SELECT created_at, review_id FROM review WHERE review_id = ${after})`;
  const rows = await sql<ReviewRow[]>`
    SELECT ${columns(sql)} FROM review
    WHERE product_id = ${productId} AND removed_at IS NULL ${older}
    ORDER BY created_at DESC, review_id DESC LIMIT ${limit}`;
  return rows.map(toReview);
}

/** What all reviews of a product say, without those that were removed. */
export async function countRatings(sql: Queries, productId: string): Promise<Ratings> {
  const [row] = await sql<Ratings[]>`
    SELECT coalesce(sum(rating), 0) AS sum, count(*) AS count FROM review
    WHERE product_id = ${productId} AND removed_at IS NULL`;
  return { sum: row?.sum ?? 0, count: row?.count ?? 0 };
}

/** Keeps a new review. */
export async function insertReview(tx: Tx, review: Review): Promise<StoredReview> {
  const [row] = await tx<ReviewRow[]>`
    INSERT INTO review (review_id, product_id, customer_id, rating, title, body)
    VALUES (${review.reviewId}, ${review.productId}, ${review.customerId}, ${review.rating}, ${review.title}, ${review.body})
    RETURNING ${columns(tx)}`;
  if (!row) throw new Error("an insert returned no row");
  return toReview(row);
}

/** Marks a review as removed, and returns it. Undefined if there is none, or if it was removed before. */
export async function removeReview(tx: Tx, reviewId: string): Promise<StoredReview | undefined> {
  const [row] = await tx<ReviewRow[]>`
    UPDATE review SET removed_at = now() WHERE review_id = ${reviewId} AND removed_at IS NULL
    RETURNING ${columns(tx)}`;
  return row && toReview(row);
}

/** True if an order of the customer with the product is known here. */
export async function hasBought(sql: Queries, customerId: string, productId: string): Promise<boolean> {
  const rows = await sql`SELECT 1 FROM buyer WHERE customer_id = ${customerId} AND product_id = ${productId}`;
  return rows.length > 0;
}

/** Remembers that a customer has bought these products. */
export async function addBuyer(tx: Tx, customerId: string, productIds: readonly string[]): Promise<void> {
  // Sorted, so that two orders of one customer lock the rows in the same order.
  await tx`
    INSERT INTO buyer (customer_id, product_id)
    SELECT ${customerId}, product_id FROM unnest(${[...productIds].sort()}::text[]) AS bought (product_id)
    ON CONFLICT DO NOTHING`;
}
