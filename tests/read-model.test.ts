import { jetstreamManager } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { ProductService } from "../gen/shop/product/v1/product_service_pb.ts";
import { ReviewService } from "../gen/shop/review/v1/review_service_pb.ts";
import { silentLog } from "../mesh/core/log.ts";
import { euro } from "../mesh/core/money.ts";
import { openNats } from "../mesh/nats/connection.ts";
import { atEnd } from "../mesh/testing/at-end.ts";
import { testBroker } from "../mesh/testing/broker.ts";
import { testService } from "../mesh/testing/service.ts";
import { until } from "../mesh/testing/until.ts";
import { startApp as startProduct } from "../services/product/app.ts";
import { readSettings as readProductSettings } from "../services/product/config.ts";
import { startApp as startReview } from "../services/review/app.ts";
import { readSettings as readReviewSettings } from "../services/review/config.ts";
import { nextRelease } from "./next-release.ts";

const broker = await testBroker();
const nats = openNats({ url: broker.url, name: "test", log: silentLog });
atEnd(() => nats.close());

const productOptions = { contract: ProductService, readSettings: readProductSettings, start: startProduct };
const product = await testService(productOptions);
const review = await testService({
  contract: ReviewService,
  readSettings: readReviewSettings,
  start: startReview,
  env: { PRODUCT_TARGET: product.target },
});

async function productWithBuyer(name: string): Promise<string> {
  const { product: made } = await product.client.createProduct({ product: { name, price: euro(100) } });
  const productId = made?.productId ?? "";
  await review.sql`INSERT INTO buyer (customer_id, product_id) VALUES ('cust-ada', ${productId})`;
  return productId;
}

async function post(productId: string, rating: number) {
  const { review: posted, ratingVersion } = await review.client.createReview({
    productId,
    customerId: "cust-ada",
    rating,
  });
  return { reviewId: posted?.reviewId ?? "", minRatingVersion: ratingVersion };
}

/** The rating of a product with all that is in this version of it. */
function ratingWith(productId: string, minRatingVersion: number, of = product) {
  return until(() =>
    of.client
      .getProduct({ productId, minRatingVersion })
      .then(({ product: found }) => found?.rating)
      .catch((error: { code?: number }) => {
        if (error.code === 9) return undefined;
        throw error;
      }),
  );
}

const sums = async () =>
  product.sql<{ product_id: string; sum: number; count: number }[]>`
    SELECT product_id, sum, count FROM rating WHERE build = 2 ORDER BY product_id`;

/** What review knows, once product has heard all of it. */
async function sumsOfOwner() {
  const { ratings } = await review.client.listRatings({ pageSize: 100 });
  for (const { productId, version } of ratings) await ratingWith(productId, version);
  return ratings.map(({ productId, sum, count }) => ({ product_id: productId, sum: Number(sum), count }));
}

test("a read model is built anew under load: nobody sees it go back, no event is missing, and none counts twice", async () => {
  const { connection } = await nats.online(AbortSignal.timeout(20_000));
  const { streams, consumers } = await jetstreamManager(connection, { checkAPI: false, timeout: 20_000 });

  // Older than what the stream keeps: reviews that only their owner knows of, of a product that nobody reviews again and
  // of one that goes on.
  const [quiet, busy] = [await productWithBuyer("Cup"), await productWithBuyer("Mug")];
  for (const productId of [quiet, busy]) {
    for (const rating of [1, 2, 3]) {
      const { minRatingVersion } = await post(productId, rating);
      if (rating === 3) await ratingWith(productId, minRatingVersion);
    }
  }
  const { state } = await streams.info("EVT_REVIEW");
  await streams.purge("EVT_REVIEW", { seq: state.last_seq });
  const fresh = await productWithBuyer("Jug");
  const { minRatingVersion } = await post(fresh, 4);
  await ratingWith(fresh, minRatingVersion);
  // What is to be mended.
  await product.sql`UPDATE rating SET sum = sum + 1000`;

  let isOver = false;
  /** Reviews come and go; who posts one always finds as many as there are. */
  async function load(productId: string, before: number): Promise<number> {
    let count = before;
    let posted = 0;
    for (; !isOver; posted++) {
      const { reviewId, minRatingVersion } = await post(productId, (posted % 5) + 1);
      count++;
      const rating = await ratingWith(productId, minRatingVersion, posted % 2 === 0 ? product : second);
      expect(rating.count).toBe(count);
      if (posted % 3 !== 0) continue;
      await review.client.deleteReview({ reviewId });
      count--;
    }
    return posted;
  }

  nextRelease(ProductService, "ratings");
  const second = await testService({ ...productOptions, databaseUrl: product.databaseUrl });
  const loads = [load(busy, 3), load(fresh, 1), load(await productWithBuyer("Pot"), 0)];
  await until(async () => {
    const [row] = await product.sql<{ live: number }[]>`SELECT live FROM read_model`;
    return row?.live === 2;
  });
  // The old build goes with its consumers, its progress and its rows.
  await until(async () => (await product.sql`SELECT 1 FROM rating WHERE build = 1`).length === 0);
  for (const [stream, name] of [
    ["EVT_REVIEW", "product__ratings"],
    ["REPLAY", "product__ratings__replay"],
  ] as const)
    await expect(consumers.info(stream, name)).rejects.toThrow("consumer not found");
  expect(await product.sql`SELECT 1 FROM inbox_cursor WHERE consumer = 'product__ratings'`).toHaveLength(0);

  isOver = true;
  expect(Math.min(...(await Promise.all(loads)))).toBeGreaterThan(3);
  const known = await sumsOfOwner();
  expect(known).toHaveLength(4);
  expect(await sums()).toEqual(known);
  const shown = await product.client.getProduct({ productId: quiet });
  expect(shown.product?.rating).toMatchObject({ count: 3, average: 2 });
  expect(await product.sql`SELECT 1 FROM outbox WHERE stream = 'DLQ'`).toHaveLength(0);
});
