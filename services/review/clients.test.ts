import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { ProductError, ProductErrorSchema } from "../../gen/shop/product/v1/product_error_pb.ts";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { ReviewService } from "../../gen/shop/review/v1/review_service_pb.ts";
import { refusals } from "../../mesh/contract/reasons.ts";
import { AppError } from "../../mesh/core/errors.ts";
import { PROTOCOLS } from "../../mesh/rpc/client/protocol.ts";
import { refusalOf } from "../../mesh/testing/refusal.ts";
import { testServer } from "../../mesh/testing/server.ts";
import { testService } from "../../mesh/testing/service.ts";
import { until } from "../../mesh/testing/until.ts";
import { startApp } from "./app.ts";
import { readSettings } from "./config.ts";

const refuseAsProduct = refusals<ProductError>(ProductErrorSchema);

const product = await testServer(ProductService, {
  getProduct({ productId }) {
    switch (productId) {
      case "prod-none":
        throw refuseAsProduct(ProductError.PRODUCT_NOT_FOUND, "there is none");
      case "prod-busy":
        throw new AppError("later", { code: Code.Unavailable, reason: "BUSY", domain: "test" });
      case "prod-broken":
        throw new Error("a secret of the product service");
      default:
        return {
          product: { productId, name: "Beans", availableStock: 7, rating: { average: 1, count: 99 } },
        };
    }
  },
});

const start = (productTarget: string, transport: string) =>
  testService({
    contract: ReviewService,
    readSettings,
    start: startApp,
    env: { PRODUCT_TARGET: `static:///${productTarget}`, PRODUCT_TRANSPORT: transport },
  });

describe.each(PROTOCOLS)("GetReviewedProduct, which asks product over %s", async (transport) => {
  const { client, sql } = await start(product.address, transport);

  test("joins the product, its newest 10 reviews and the rating of them all, counted here", async () => {
    await sql`INSERT INTO buyer (customer_id, product_id) VALUES ('cust-ada', 'prod-beans')`;
    const posted: string[] = [];
    for (let i = 0; i < 12; i++) {
      const rating = i === 0 ? 1 : 5;
      const { review } = await client.createReview({
        productId: "prod-beans",
        customerId: "cust-ada",
        rating,
      });
      posted.unshift(review?.reviewId ?? "");
    }
    const reviewed = await client.getReviewedProduct({ productId: "prod-beans" });
    expect(reviewed.product).toMatchObject({ productId: "prod-beans", name: "Beans", availableStock: 7 });
    expect(reviewed.reviews.map((review) => review.reviewId)).toEqual(posted.slice(0, 10));
    expect(reviewed.rating).toMatchObject({ average: 56 / 12, count: 12 });
  });

  test("shows a product without reviews", async () => {
    const reviewed = await client.getReviewedProduct({ productId: "prod-new" });
    expect(reviewed).toMatchObject({
      product: { productId: "prod-new" },
      reviews: [],
      rating: { average: 0, count: 0 },
    });
  });

  test("says in its own words that there is no such product", async () => {
    expect(await refusalOf(client.getReviewedProduct({ productId: "prod-none" }))).toEqual({
      code: "NotFound",
      reason: "PRODUCT_NOT_FOUND",
      domain: "shop.review.v1",
    });
  });

  test("leaves out a product whose owner is away, and says so", async () => {
    let trailer = new Headers();
    const onTrailer = (given: Headers) => {
      trailer = given;
    };
    const reviewed = await client.getReviewedProduct({ productId: "prod-busy" }, { onTrailer });
    expect(reviewed.product).toBeUndefined();
    expect(reviewed.rating).toMatchObject({ count: 0 });
    expect(trailer.get("mesh-degraded")).toBe("fallback");
  });

  test("lets nothing out of what broke in product", async () => {
    const call = client.getReviewedProduct({ productId: "prod-broken" });
    await expect(call).rejects.toThrow("[internal] internal error");
    expect(await refusalOf(call)).toMatchObject({ code: "Internal", reason: "INTERNAL" });
  });
});

test.each(PROTOCOLS)(
  "once product is gone, over %s, it shows what it was, and says so",
  async (transport) => {
    const going = await testServer(ProductService, {
      getProduct: ({ productId }) => ({ product: { productId, name: "Beans" } }),
    });
    const { client } = await start(going.address, transport);
    await client.getReviewedProduct({ productId: "prod-beans" });
    await going.stop(0);
    const trailers: (string | null)[] = [];
    const onTrailer = (trailer: Headers) => void trailers.push(trailer.get("mesh-degraded"));
    await until(async () => {
      const { product } = await client.getReviewedProduct({ productId: "prod-beans" }, { onTrailer });
      expect(product).toMatchObject({ name: "Beans" });
      // As good as new for a second.
      return trailers.at(-1) === "stale";
    });
    const unseen = await client.getReviewedProduct({ productId: "prod-unseen" }, { onTrailer });
    expect([unseen.product, trailers.at(-1)]).toEqual([undefined, "fallback"]);
  },
);
