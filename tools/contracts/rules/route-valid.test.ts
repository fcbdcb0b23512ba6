import { expect, test } from "vitest";
import { http } from "../../../gen/google/api/annotations_pb.ts";
import { editOption, objections } from "../../../mesh/testing/edited-contracts.ts";
import { rule } from "./route-valid.ts";

const GET = "shop.order.v1.OrderService/GetOrder";

test("the routes of the shop can be read", () => {
  expect(objections(rule)).toEqual([]);
});

test.each([
  ["/v1/orders/{order_id", "the template /v1/orders/{order_id has its end where } should be"],
  ["/v1/orders/{id}", "its path names id, which is no field of shop.order.v1.GetOrderRequest"],
])("%s is refused", (path, problem) => {
  const found = objections(rule, ({ method }) =>
    editOption(method(GET), http, (its) => {
      its.pattern = { case: "get", value: path };
    }),
  );
  expect(found).toEqual([`${GET}: ${problem}.`]);
});
