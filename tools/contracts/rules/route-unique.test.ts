import { expect, test } from "vitest";
import { http } from "../../../gen/google/api/annotations_pb.ts";
import { type Editor, editOption, objections } from "../../../mesh/testing/edited-contracts.ts";
import { rule } from "./route-unique.ts";

const WATCH = "shop.order.v1.OrderService/WatchOrder";

const path =
  (value: string) =>
  ({ method }: Editor) =>
    editOption(method(WATCH), http, (its) => {
      its.pattern = { case: "get", value };
    });

test("no two routes of the shop take the same path", () => {
  expect(objections(rule)).toEqual([]);
});

test("two routes that do are named, also across services", () => {
  expect(objections(rule, path("/v1/reviews/{order_id}"))).toEqual([
    "shop.review.v1.ReviewService/GetReview: its GET /v1/reviews/{review_id} takes the same paths as GET /v1/reviews/{order_id} of shop.order.v1.OrderService/WatchOrder.",
  ]);
});

test("an exception to another route is none", () => {
  expect(objections(rule, path("/v1/orders/watched"))).toEqual([]);
});
