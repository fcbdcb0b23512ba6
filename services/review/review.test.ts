import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { averageOf, notABuyer, productNotFound, reviewNotFound } from "./review.ts";

test("a product without reviews has no rating, rather than one that is no number", () => {
  expect(averageOf({ sum: 0, count: 0 })).toBe(0);
});

test("the rating is the mean of all", () => {
  expect(averageOf({ sum: 13, count: 4 })).toBe(3.25);
});

test("a refusal says what it is about", () => {
  const review = { reviewId: "r", productId: "p", customerId: "c", rating: 5, title: "", body: "" };
  const domain = "shop.review.v1";
  expect(notABuyer(review)).toMatchObject({
    code: Code.FailedPrecondition,
    reason: "NOT_A_BUYER",
    domain,
    metadata: { customer_id: "c", product_id: "p" },
  });
  expect(reviewNotFound("r")).toMatchObject({
    code: Code.NotFound,
    reason: "REVIEW_NOT_FOUND",
    domain,
    metadata: { review_id: "r" },
  });
  expect(productNotFound("p")).toMatchObject({
    code: Code.NotFound,
    reason: "PRODUCT_NOT_FOUND",
    domain,
    metadata: { product_id: "p" },
  });
});
