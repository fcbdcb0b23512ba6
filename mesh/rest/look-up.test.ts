import { expect, test } from "vitest";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { routesOf } from "../contract/routes.ts";
import { allowedAt, lookUp } from "./look-up.ts";

const routes = routesOf(ProductService);

test.each([
  ["GET", "/v1/products/p1", "GetProduct"],
  ["HEAD", "/v1/products/p1", "GetProduct"],
  ["HEAD", "/v1/products:watchStock", undefined],
  ["DELETE", "/v1/products/p1", undefined],
])("%s %s reaches %s", (verb, path, name) => {
  expect(lookUp(routes, verb, path)?.route.method.name).toBe(name);
});

test.each([
  ["/v1/products/p1", ["GET", "HEAD", "PATCH", "OPTIONS"]],
  ["/v1/products", ["GET", "HEAD", "POST", "OPTIONS"]],
  ["/v1/products:watchStock", ["GET", "OPTIONS"]],
  ["/v1/nothing", []],
])("%s takes %s", (path, allowed) => {
  expect(allowedAt(routes, path)).toEqual(allowed);
});
