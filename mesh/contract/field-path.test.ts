import { expect, test } from "vitest";
import { PlaceOrderRequestSchema } from "../../gen/shop/order/v1/order_service_pb.ts";
import { UpdateProductRequestSchema } from "../../gen/shop/product/v1/product_service_pb.ts";
import { fieldsAt, pathOf } from "./field-path.ts";

test.each(["product", "product.product_id", "product.price.currency_code"])("%s is a path", (path) => {
  expect(pathOf(fieldsAt(UpdateProductRequestSchema, path) ?? [])).toBe(path);
});

test.each([
  ["no field", "colour"],
  ["no field within one", "product.colour"],
  ["a name of JSON", "product.productId"],
  ["within what is no message", "product.product_id.x"],
  ["nothing", ""],
])("%s is none", (_, path) => {
  expect(fieldsAt(UpdateProductRequestSchema, path)).toBeUndefined();
});

test("what is within a list is none", () => {
  expect(fieldsAt(PlaceOrderRequestSchema, "lines")).toHaveLength(1);
  expect(fieldsAt(PlaceOrderRequestSchema, "lines.quantity")).toBeUndefined();
});

test("who reads other names says so", () => {
  const byJson = fieldsAt(
    UpdateProductRequestSchema,
    "product.productId",
    (field, name) => field.jsonName === name,
  );
  expect(pathOf(byJson ?? [])).toBe("product.product_id");
});
