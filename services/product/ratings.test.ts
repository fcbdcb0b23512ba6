import { expect, test } from "vitest";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { ReviewPostedSchema } from "../../gen/shop/review/v1/review_event_pb.ts";
import { euro } from "../../mesh/core/money.ts";
import { testPublisher } from "../../mesh/testing/publisher.ts";
import { refusalOf } from "../../mesh/testing/refusal.ts";
import { testService } from "../../mesh/testing/service.ts";
import { until } from "../../mesh/testing/until.ts";
import { startApp } from "./app.ts";
import { readSettings } from "./config.ts";

const reviews = await testPublisher(ReviewPostedSchema);
const { client } = await testService({ contract: ProductService, readSettings, start: startApp });

const post = (productId: string, rating: number, halfStars = 0) =>
  reviews.publish({ productId, reviewId: `review-${rating}`, customerId: "cust-ada", rating, halfStars });

test("who names the version of a review reads the rating that has it in it", async () => {
  const { product } = await client.createProduct({ product: { name: "Cup", price: euro(100) } });
  const productId = product?.productId ?? "";
  await post(productId, 5);
  const minRatingVersion = await post(productId, 2);
  // However long the machine takes: behind is an answer, and asking again is what it says.
  const found = await until(() =>
    client.getProduct({ productId, minRatingVersion }).catch((error: { code?: number }) => {
      if (error.code === 9) return undefined;
      throw error;
    }),
  );
  expect(found.product?.rating).toMatchObject({ count: 2, average: 3.5 });
});

test("half stars count as halves, beside reviews from before there were any", async () => {
  const { product } = await client.createProduct({ product: { name: "Pot", price: euro(100) } });
  const productId = product?.productId ?? "";
  await post(productId, 4);
  const minRatingVersion = await post(productId, 5, 9);
  const found = await until(() => client.getProduct({ productId, minRatingVersion }).catch(() => undefined));
  expect(found.product?.rating).toMatchObject({ count: 2, average: 4.25 });
});

test("a version that was never published is not waited for without end", async () => {
  const { product } = await client.createProduct({ product: { name: "Mug", price: euro(100) } });
  const productId = product?.productId ?? "";
  expect(await refusalOf(client.getProduct({ productId, minRatingVersion: 7 }))).toMatchObject({
    code: "FailedPrecondition",
    reason: "REPLICA_BEHIND",
  });
});
