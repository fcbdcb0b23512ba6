import { expect, test } from "vitest";
import { named, objections } from "../../../mesh/testing/edited-contracts.ts";
import { isOfErrors, rule } from "./reason-has-code.ts";

test("every reason of the shop and of the mesh has its code", () => {
  expect(objections(rule)).toEqual([]);
});

test("a reason without one is named", () => {
  const found = objections(rule, (editor) => {
    delete named(editor.enum("shop.order.v1.OrderError").value, "ORDER_ERROR_TIMEOUT").options;
  });
  expect(found).toEqual(["ORDER_ERROR_TIMEOUT states no (mesh.error.v1.code)."]);
});

test("other enums are no reasons", () => {
  expect(["shop/order/v1/order_error.proto", "mesh/error/v1/error.proto"].map(isOfErrors)).toEqual([
    true,
    true,
  ]);
  expect(["shop/order/v1/order.proto", "shop/a/v1/terror.proto"].map(isOfErrors)).toEqual([false, false]);
});
