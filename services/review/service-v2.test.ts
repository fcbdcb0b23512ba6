import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { ReviewPostedSchema, ReviewRemovedSchema } from "../../gen/shop/review/v1/review_event_pb.ts";
import { ReviewService as ReviewServiceV1 } from "../../gen/shop/review/v1/review_service_pb.ts";
import { ReviewService } from "../../gen/shop/review/v2/review_service_pb.ts";
import { meshClient } from "../../mesh/rpc/client/client.ts";
import { dataPlaneOf } from "../../mesh/rpc/data-planes.ts";
import { atEnd } from "../../mesh/testing/at-end.ts";
import { published } from "../../mesh/testing/published.ts";
import { refusalOf } from "../../mesh/testing/refusal.ts";
import { testService } from "../../mesh/testing/service.ts";
import { startApp } from "./app.ts";
import { readSettings } from "./config.ts";

const { client, sql, httpUrl } = await testService({
  contract: ReviewService,
  readSettings,
  start: startApp,
});
const way = dataPlaneOf().grpc(
  { host: "127.0.0.1", port: Number(new URL(httpUrl).port) },
  { interceptors: [], maxMessageBytes: 2 ** 22 },
);
atEnd(async () => way.close());
const v1 = meshClient(ReviewServiceV1, way);
const domain = "shop.review.v2";

/** A product that nobody else looks at, bought by Ada. */
async function boughtProduct(): Promise<string> {
  const productId = `prod-${randomUUID()}`;
  await sql`INSERT INTO buyer (customer_id, product_id) VALUES ('cust-ada', ${productId})`;
  return productId;
}

const post = (productId: string, halfStars: number, requestId = "") =>
  client.createReview({ productId, customerId: "cust-ada", halfStars, title: "Good", requestId });

const events = (productId: string) => published(sql, [ReviewPostedSchema, ReviewRemovedSchema], productId);

/** What ListRatings of both versions say of a product. */
async function ratingsOf(productId: string) {
  const of = <T extends { productId: string }>({ ratings }: { ratings: T[] }) =>
    ratings.find((each) => each.productId === productId);
  return [
    of(await v1.listRatings({ pageSize: 100 }))?.sum,
    of(await client.listRatings({ pageSize: 100 }))?.halfStarsSum,
  ];
}

test("a half star is kept, and a whole one to who knows no halves", async () => {
  const productId = await boughtProduct();
  const { review, ratingVersion } = await post(productId, 9);
  const reviewId = review?.reviewId ?? "";
  expect([review, ratingVersion]).toMatchObject([{ productId, halfStars: 9, title: "Good" }, 1]);
  expect(await client.getReview({ reviewId })).toMatchObject({ review });
  expect(await v1.getReview({ reviewId })).toMatchObject({ review: { reviewId, rating: 5, title: "Good" } });
  expect((await v1.listReviews({ productId })).reviews).toMatchObject([{ reviewId, rating: 5 }]);
  expect(await ratingsOf(productId)).toEqual([5n, 9n]);
});

test("what v1 posts is there in half stars, and pages of one go on in the other", async () => {
  const productId = await boughtProduct();
  const { review } = await v1.createReview({ productId, customerId: "cust-ada", rating: 3 });
  await post(productId, 5);
  const first = await v1.listReviews({ productId, pageSize: 1 });
  expect(first.reviews).toMatchObject([{ rating: 3 }]);
  const next = await client.listReviews({ productId, pageToken: first.nextPageToken });
  expect(next.reviews).toMatchObject([{ reviewId: review?.reviewId, halfStars: 6 }]);
  expect(await ratingsOf(productId)).toEqual([6n, 11n]);
});

test("reviews of releases that know no halves have twice their rating", async () => {
  const productId = await boughtProduct();
  await sql`
    INSERT INTO review (review_id, product_id, customer_id, rating, title, body)
    VALUES (${`old-${productId}`}, ${productId}, 'cust-ada', 4, 'Old', '')`;
  expect((await client.listReviews({ productId })).reviews).toMatchObject([{ title: "Old", halfStars: 8 }]);
});

test("one event tells those who know halves, and those who do not", async () => {
  const productId = await boughtProduct();
  const { review } = await post(productId, 3);
  const reviewId = review?.reviewId ?? "";
  await client.deleteReview({ reviewId });
  await client.deleteReview({ reviewId });
  expect(await events(productId)).toMatchObject([
    { $typeName: "shop.review.v1.ReviewPosted", reviewId, rating: 2, halfStars: 3 },
    { $typeName: "shop.review.v1.ReviewRemoved", reviewId, rating: 2, halfStars: 3 },
  ]);
});

test("the same request posts once", async () => {
  const productId = await boughtProduct();
  const requestId = `once-${productId}`;
  const [one, other] = await Promise.all([post(productId, 7, requestId), post(productId, 7, requestId)]);
  expect(other.review?.reviewId).toBe(one.review?.reviewId);
  expect((await client.listReviews({ productId })).reviews).toHaveLength(1);
});

test("it refuses in its own words", async () => {
  expect(await refusalOf(post("prod-other", 8))).toEqual({
    code: "FailedPrecondition",
    reason: "NOT_A_BUYER",
    domain,
  });
  expect(await refusalOf(client.getReview({ reviewId: "rev-none" }))).toMatchObject({
    reason: "REVIEW_NOT_FOUND",
    domain,
  });
  expect(await refusalOf(client.deleteReview({ reviewId: "rev-none" }))).toMatchObject({ domain });
  expect(await refusalOf(post("prod-x", 1))).toMatchObject({
    code: "InvalidArgument",
    fields: ["half_stars"],
  });
  expect(await refusalOf(post("prod-x", 11))).toMatchObject({ fields: ["half_stars"] });
});
