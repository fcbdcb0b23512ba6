import type { Queries } from "../../mesh/store/connect.ts";
import { liveBuildIn } from "../../mesh/store/live-build.ts";
import type { Tx } from "../../mesh/store/transaction.ts";
import { type Ratings, type Review, type StoredReview, wholeStars } from "./review.ts";

interface ReviewRow {
  readonly review_id: string;
  readonly product_id: string;
  readonly customer_id: string;
  readonly half_stars: number;
  readonly title: string;
  readonly body: string;
  readonly created_at: Date;
  readonly removed_at: Date | null;
}

/** A review of a release that knows whole stars only has no halves. */
function halfStars(sql: Queries) {
  return sql`coalesce(half_stars, 2 * rating)`;
}

function columns(sql: Queries) {
  return sql`review_id, product_id, customer_id, ${halfStars(sql)} AS half_stars, title, body, created_at, removed_at`;
}

function toReview(row: ReviewRow): StoredReview & { readonly isRemoved: boolean } {
  return {
    reviewId: row.review_id,
    productId: row.product_id,
    customerId: row.customer_id,
    halfStars: row.half_stars,
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
    SELECT coalesce(sum(${halfStars(sql)}), 0) AS "halfStarsSum", count(*) AS count FROM review
    WHERE product_id = ${productId} AND removed_at IS NULL`;
  return { halfStarsSum: row?.halfStarsSum ?? 0, count: row?.count ?? 0 };
}

/** What the reviews of one product come to. */
export interface ProductRatings extends Ratings {
  readonly productId: string;
  /** The sum of all ratings, each in whole stars. */
  readonly wholeStarsSum: number;
  /** The number of the product's last event that is in it. */
  readonly version: number;
}

/** What the reviews of each product come to, and which of the product's events are in it, by product after `after`. */
export async function listRatings(
  sql: Queries,
  { stream, after, limit }: { stream: string; after: string; limit: number },
): Promise<ProductRatings[]> {
  // In one statement, so that it is the number of the last event that these reviews have published.
  return sql<ProductRatings[]>`
    SELECT k.key AS "productId", k.last_seq AS version, count(r.review_id) AS count,
      coalesce(sum(r.rating), 0) AS "wholeStarsSum", coalesce(sum(${halfStars(sql)}), 0) AS "halfStarsSum"
    FROM event_key k LEFT JOIN review r ON r.product_id = k.key AND r.removed_at IS NULL
    WHERE k.stream = ${stream} AND k.key > ${after} GROUP BY k.key, k.last_seq ORDER BY k.key LIMIT ${limit}`;
}

/** Keeps a new review. */
export async function insertReview(tx: Tx, review: Review): Promise<StoredReview> {
  const { reviewId, productId, customerId, title, body } = review;
  // Both, while instances run that know whole stars only.
  const rating = wholeStars(review.halfStars);
  const [row] = await tx<ReviewRow[]>`
    INSERT INTO review (review_id, product_id, customer_id, rating, half_stars, title, body)
    VALUES (${reviewId}, ${productId}, ${customerId}, ${rating}, ${review.halfStars}, ${title}, ${body})
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
  const rows = await sql`
    SELECT 1 FROM buyer
    WHERE build = ${liveBuildIn(sql, "buyers")} AND customer_id = ${customerId} AND product_id = ${productId}`;
  return rows.length > 0;
}

/** Remembers that a customer has bought these products, in a build of who bought what. */
export async function addBuyer(
  tx: Tx,
  build: number,
  customerId: string,
  productIds: readonly string[],
): Promise<void> {
  // Sorted, so that two orders of one customer lock the rows in the same order.
  await tx`
    INSERT INTO buyer (build, customer_id, product_id)
    SELECT ${build}::int, ${customerId}, product_id
    FROM unnest(${[...productIds].sort()}::text[]) AS bought (product_id)
    ON CONFLICT DO NOTHING`;
}

/** Deletes who bought what of a build. */
export async function dropBuyers(tx: Tx, build: number): Promise<void> {
  await tx`DELETE FROM buyer WHERE build = ${build}`;
}
