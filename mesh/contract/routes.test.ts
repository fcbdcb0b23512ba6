import type { DescService } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { http } from "../../gen/google/api/annotations_pb.ts";
import { HttpRuleSchema } from "../../gen/google/api/http_pb.ts";
import { editedContracts, editOption, setOption } from "../testing/edited-contracts.ts";
import { generatedFiles } from "../testing/shop-contracts.ts";
import { methodName } from "./policy.ts";
import { findRoute, inOrder, routesOf } from "./routes.ts";

const services = (await generatedFiles("shop", "_service_pb.ts")).flatMap((file) => file.services);
const table = inOrder(services.flatMap(routesOf));
const reaches = (verb: string, path: string) => {
  const found = findRoute(table, verb, path);
  return found && [found.route.method.name, Object.fromEntries(found.variables)];
};

test.each([
  ["GET", "/v1/products", ["ListProducts", {}]],
  ["GET", "/v1/products/p1", ["GetProduct", { product_id: "p1" }]],
  ["GET", "/v1/products:batchGet", ["BatchGetProducts", {}]],
  ["POST", "/v1/products", ["CreateProduct", {}]],
  ["PATCH", "/v1/products/p1", ["UpdateProduct", { "product.product_id": "p1" }]],
  ["POST", "/v1/products:import", ["ImportProducts", {}]],
  ["GET", "/v1/products:watchStock", ["WatchStock", {}]],
  ["POST", "/v1/orders", ["PlaceOrder", {}]],
  ["GET", "/v1/orders/o1", ["GetOrder", { order_id: "o1" }]],
  ["GET", "/v1/orders/o1:watch", ["WatchOrder", { order_id: "o1" }]],
  ["POST", "/v1/orders/o1:cancel", ["CancelOrder", { order_id: "o1" }]],
  ["GET", "/v1/customers/c1/orders", ["ListOrders", { customer_id: "c1" }]],
  ["GET", "/v1/orders/o1/payment", ["GetPayment", { order_id: "o1" }]],
  ["POST", "/v1/orders/o1/payment:refund", ["RefundPayment", { order_id: "o1" }]],
  ["GET", "/v1/products/p1:reviewed", ["GetReviewedProduct", { product_id: "p1" }]],
  ["DELETE", "/v1/reviews/r1", ["DeleteReview", { review_id: "r1" }]],
  ["GET", "/v1/events:watch", ["WatchEvents", {}]],
  ["PUT", "/v1/orders", undefined],
  ["GET", "/v1/nothing", undefined],
])("%s %s", (verb, path, reached) => {
  expect(reaches(verb, path)).toEqual(reached);
});

test("every RPC of the shop has a route, but those that only services or operators call", () => {
  const without = services
    .flatMap(({ methods }) => methods)
    .filter((method) => !table.some((route) => route.method === method));
  expect(without.map(methodName).sort()).toEqual([
    "shop.customer.v1.CustomerService/ListCustomerIds",
    "shop.customer.v1.CustomerService/RotateSigningKeys",
    "shop.order.v1.OrderService/ListPurchases",
    "shop.payment.v1.PaymentService/AuthorizePayment",
    "shop.payment.v1.PaymentService/CapturePayment",
    "shop.payment.v1.PaymentService/VoidPayment",
    "shop.product.v1.ProductService/CommitStock",
    "shop.product.v1.ProductService/ListPrices",
    "shop.product.v1.ProductService/ReleaseStock",
    "shop.product.v1.ProductService/ReserveStock",
    "shop.review.v1.ReviewService/ListRatings",
    "shop.review.v2.ReviewService/ListRatings",
  ]);
});

test("a route keeps what its body and its answer are", () => {
  const created = table.find(({ method }) => method.name === "CreateProduct");
  expect(created).toMatchObject({ verb: "POST", body: "product", responseBody: undefined });
});

/** The order service with these routes, each on a method of its own. */
function withRoutes(...paths: string[]): DescService {
  const { registry } = editedContracts(({ service }) => {
    for (const [index, method] of service("shop.order.v1.OrderService").method.entries()) {
      const path = paths[index];
      if (path === undefined) delete method.options;
      else setOption(method, http, create(HttpRuleSchema, { pattern: { case: "get", value: path } }));
    }
  });
  return registry.getService("shop.order.v1.OrderService") as DescService;
}

describe("the narrower route comes first", () => {
  test.each([
    [["/v1/{a=**}", "/v1/{a=*}", "/v1/x", "/v1/{a=*}:go"]],
    [["/v1/x", "/v1/{a=*}:go", "/v1/{a=*}", "/v1/{a=**}"]],
    [["/v1/{a=*}", "/v1/{a=**}", "/v1/{a=*}:go", "/v1/x"]],
  ])("of %s", (paths) => {
    const order = routesOf(withRoutes(...paths)).map(({ template }) => template.text);
    const at = (text: string) => order.indexOf(text);
    expect(order).toHaveLength(4);
    expect(at("/v1/x")).toBeLessThan(at("/v1/{a=*}"));
    expect(at("/v1/{a=*}:go")).toBeLessThan(at("/v1/{a=*}"));
    expect(at("/v1/{a=*}")).toBeLessThan(at("/v1/{a=**}"));
  });
});

test("additional bindings and custom verbs are routes too", () => {
  const { registry } = editedContracts(({ method }) =>
    editOption(method("shop.order.v1.OrderService/GetOrder"), http, (its) => {
      its.additionalBindings = [
        create(HttpRuleSchema, {
          pattern: { case: "custom", value: { kind: "HEAD", path: "/v1/orders/{order_id}" } },
        }),
        create(HttpRuleSchema, {
          pattern: { case: "custom", value: { kind: "*", path: "/any/{order_id}" } },
        }),
      ];
    }),
  );
  const routes = routesOf(registry.getService("shop.order.v1.OrderService") as DescService);
  expect(findRoute(routes, "HEAD", "/v1/orders/o1")?.route.method.name).toBe("GetOrder");
  expect(findRoute(routes, "PURGE", "/any/o1")?.route.method.name).toBe("GetOrder");
});
