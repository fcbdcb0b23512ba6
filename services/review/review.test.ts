import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { averageOf, productNotFound, refusalsV1, refusalsV2, wholeStars } from "./review.ts";

test("a product without reviews has no rating, rather than one that is no number", () => {
  expect(averageOf({ halfStarsSum: 0, count: 0 })).toBe(0);
});

test("the rating is the mean of all, in stars", () => {
  expect(averageOf({ halfStarsSum: 26, count: 4 })).toBe(3.25);
  expect(averageOf({ halfStarsSum: 9, count: 1 })).toBe(4.5);
});

test("a half counts as a whole star to who knows no halves, and no review has none", () => {
  expect([2, 3, 4, 7, 9, 10].map(wholeStars)).toEqual([1, 2, 2, 4, 5, 5]);
});

test.each([
  ["shop.review.v1", refusalsV1],
  ["shop.review.v2", refusalsV2],
])("a refusal says what it is about, in the words of %s", (domain, { notABuyer, reviewNotFound }) => {
  expect(notABuyer({ productId: "p", customerId: "c" })).toMatchObject({
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
});

test("there is no such product only to the version that shows products", () => {
  expect(productNotFound("p")).toMatchObject({
    code: Code.NotFound,
    reason: "PRODUCT_NOT_FOUND",
    domain: "shop.review.v1",
    metadata: { product_id: "p" },
  });
});
