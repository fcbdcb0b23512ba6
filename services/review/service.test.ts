import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { ReviewPostedSchema, ReviewRemovedSchema } from "../../gen/shop/review/v1/review_event_pb.ts";
import { ReviewService } from "../../gen/shop/review/v1/review_service_pb.ts";
import { published } from "../../mesh/testing/published.ts";
import { refusalOf } from "../../mesh/testing/refusal.ts";
import { testService } from "../../mesh/testing/service.ts";
import { startApp } from "./app.ts";
import { readSettings } from "./config.ts";

const { client, sql } = await testService({ contract: ReviewService, readSettings, start: startApp });
const domain = "shop.review.v1";

/** A product that nobody else looks at, bought by Ada. */
async function boughtProduct(): Promise<string> {
  const productId = `prod-${randomUUID()}`;
  await sql`INSERT INTO buyer (customer_id, product_id) VALUES ('cust-ada', ${productId})`;
  return productId;
}

const by = (customerId: string, productId: string) => ({
  customerId,
  productId,
  rating: 4,
  title: "Good",
  body: "As it should be.",
});

async function post(productId: string, rating = 4): Promise<string> {
  const { review } = await client.createReview({ ...by("cust-ada", productId), rating });
  return review?.reviewId ?? "";
}

/** The ids of all pages, and how many reviews stood on each. */
async function allPages(productId: string, pageSize: number) {
  const ids: string[] = [];
  const sizes: number[] = [];
  for (let pageToken = "", first = true; first || pageToken !== ""; first = false) {
    const page = await client.listReviews({ productId, pageSize, pageToken });
    ids.push(...page.reviews.map((review) => review.reviewId));
    sizes.push(page.reviews.length);
    pageToken = page.nextPageToken;
  }
  return { ids, sizes };
}

const events = (productId: string) => published(sql, [ReviewPostedSchema, ReviewRemovedSchema], productId);

describe("CreateReview", () => {
  test("posts a buyer's review and announces it", async () => {
    const productId = await boughtProduct();
    const { review, ratingVersion } = await client.createReview(by("cust-ada", productId));
    expect(review).toMatchObject(by("cust-ada", productId));
    expect(ratingVersion).toBe(1);
    expect(await client.getReview({ reviewId: review?.reviewId ?? "" })).toMatchObject({ review });
    expect(await events(productId)).toMatchObject([
      {
        $typeName: "shop.review.v1.ReviewPosted",
        reviewId: review?.reviewId,
        customerId: "cust-ada",
        rating: 4,
      },
    ]);
  });

  test("refuses who has not bought, whoever else has, and a product that nobody knows", async () => {
    const productId = await boughtProduct();
    const refused = { code: "FailedPrecondition", reason: "NOT_A_BUYER", domain };
    expect(await refusalOf(client.createReview(by("cust-grace", productId)))).toEqual(refused);
    expect(await refusalOf(client.createReview(by("cust-ada", "prod-nobody-knows")))).toEqual(refused);
    expect(await events(productId)).toEqual([]);
  });

  test("repeated under its request_id gives the first result and posts nothing more", async () => {
    const productId = await boughtProduct();
    const request = { ...by("cust-ada", productId), requestId: randomUUID() };
    const [first, second] = await Promise.all([client.createReview(request), client.createReview(request)]);
    expect(second).toEqual(first);
    expect(await events(productId)).toHaveLength(1);
  });

  test("refuses other content under a known request_id, but not another caller's", async () => {
    const productId = await boughtProduct();
    await sql`INSERT INTO buyer (customer_id, product_id) VALUES ('cust-grace', ${productId})`;
    const requestId = randomUUID();
    await client.createReview({ ...by("cust-ada", productId), requestId });
    expect(
      await refusalOf(client.createReview({ ...by("cust-ada", productId), rating: 1, requestId })),
    ).toEqual({
      code: "AlreadyExists",
      reason: "REQUEST_ID_REUSED",
      domain: "mesh.weft",
    });
    await client.createReview({ ...by("cust-grace", productId), requestId });
    expect(await events(productId)).toHaveLength(2);
  });

  test("remembers no refusal: the same request passes once the purchase is known", async () => {
    const productId = `prod-${randomUUID()}`;
    const request = { ...by("cust-ada", productId), requestId: randomUUID() };
    expect(await refusalOf(client.createReview(request))).toMatchObject({ reason: "NOT_A_BUYER" });
    await sql`INSERT INTO buyer (customer_id, product_id) VALUES ('cust-ada', ${productId})`;
    expect((await client.createReview(request)).review).toMatchObject({ productId });
  });

  test("names each bad field", async () => {
    const request = {
      productId: "",
      customerId: "cust ada",
      rating: 6,
      title: "x".repeat(201),
      body: "a\0b",
    };
    expect(await refusalOf(client.createReview(request))).toEqual({
      code: "InvalidArgument",
      reason: "INVALID_REQUEST",
      domain: "mesh.weft",
      fields: ["product_id", "customer_id", "rating", "title", "body"],
    });
  });
});

describe("ListReviews", () => {
  test("lists newest first, page by page, each review once", async () => {
    const productId = await boughtProduct();
    const posted: string[] = [];
    for (let i = 0; i < 5; i++) posted.unshift(await post(productId));
    expect(await allPages(productId, 2)).toEqual({ ids: posted, sizes: [2, 2, 1] });
    expect(await allPages(productId, 5)).toEqual({ ids: posted, sizes: [5] });
    expect((await client.listReviews({ productId })).reviews).toHaveLength(5);
  });

  test("tells times apart that differ by a microsecond, and ids of one and the same time", async () => {
    const productId = await boughtProduct();
    const ids = [await post(productId), await post(productId), await post(productId), await post(productId)];
    const [a, b, c, d] = ids as [string, string, string, string];
    const at = (reviewId: string, time: string) =>
      sql`UPDATE review SET created_at = ${time}::text::timestamptz WHERE review_id = ${reviewId}`;
    await at(a, "2026-01-01 12:00:00.000003Z");
    await at(b, "2026-01-01 12:00:00.000002Z");
    await at(c, "2026-01-01 12:00:00.000002Z");
    await at(d, "2026-01-01 12:00:00.000001Z");
    // c was posted after b, so its id is the greater one.
    expect(await allPages(productId, 1)).toEqual({ ids: [a, c, b, d], sizes: [1, 1, 1, 1] });
  });

  test("goes on where it was when reviews come and go meanwhile", async () => {
    const productId = await boughtProduct();
    const [oldest, second, third] = [await post(productId), await post(productId), await post(productId)];
    const first = await client.listReviews({ productId, pageSize: 1 });
    expect(first.reviews.map((r) => r.reviewId)).toEqual([third]);
    await post(productId);
    await client.deleteReview({ reviewId: third });
    const next = await client.listReviews({ productId, pageSize: 5, pageToken: first.nextPageToken });
    expect(next.reviews.map((r) => r.reviewId)).toEqual([second, oldest]);
  });

  test("is empty for a product without reviews", async () => {
    expect(await client.listReviews({ productId: "prod-unseen" })).toMatchObject({
      reviews: [],
      nextPageToken: "",
    });
  });

  test("refuses a page token that it did not return", async () => {
    expect(await refusalOf(client.listReviews({ productId: "prod-x", pageToken: "page-2" }))).toMatchObject({
      code: "InvalidArgument",
      fields: ["page_token"],
    });
  });
});

describe("ListRatings", () => {
  test("lists what the reviews of each product come to, and how many of its events are in that", async () => {
    const [one, other] = [await boughtProduct(), await boughtProduct()].sort() as [string, string];
    for (const rating of [5, 2]) await post(one, rating);
    const reviewId = await post(other, 4);
    await client.deleteReview({ reviewId });
    const all = [];
    for (let pageToken = ""; ; ) {
      const page = await client.listRatings({ pageSize: 1, pageToken });
      expect(page.ratings.length).toBeLessThanOrEqual(1);
      all.push(...page.ratings);
      pageToken = page.nextPageToken;
      if (pageToken === "") break;
    }
    expect(all.map(({ productId }) => productId)).toEqual(
      [...new Set(all.map(({ productId }) => productId))].sort(),
    );
    expect(all.filter(({ productId }) => [one, other].includes(productId))).toMatchObject([
      { productId: one, sum: 7n, count: 2, version: 2 },
      { productId: other, sum: 0n, count: 0, version: 2 },
    ]);
  });
});

describe("DeleteReview", () => {
  test("takes a review away and announces it once, however often it is repeated", async () => {
    const productId = await boughtProduct();
    const kept = await post(productId, 5);
    const reviewId = await post(productId, 2);
    await Promise.all([client.deleteReview({ reviewId }), client.deleteReview({ reviewId })]);
    await client.deleteReview({ reviewId });
    expect(await refusalOf(client.getReview({ reviewId }))).toEqual({
      code: "NotFound",
      reason: "REVIEW_NOT_FOUND",
      domain,
    });
    expect((await allPages(productId, 10)).ids).toEqual([kept]);
    expect(await events(productId)).toMatchObject([
      { $typeName: "shop.review.v1.ReviewPosted", reviewId: kept, rating: 5 },
      { $typeName: "shop.review.v1.ReviewPosted", reviewId, rating: 2 },
      { $typeName: "shop.review.v1.ReviewRemoved", reviewId, rating: 2 },
    ]);
  });

  test("refuses an id that names no review", async () => {
    expect(await refusalOf(client.deleteReview({ reviewId: "rev-none" }))).toEqual({
      code: "NotFound",
      reason: "REVIEW_NOT_FOUND",
      domain,
    });
  });
});
