import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { http } from "../../gen/google/api/annotations_pb.ts";
import { HttpRuleSchema } from "../../gen/google/api/http_pb.ts";
import { editedContracts, setOption } from "../../mesh/testing/edited-contracts.ts";
import { enumsOf, servicesOf } from "../contracts/plugin/contracts.ts";
import { openapi } from "./openapi.ts";

type Rule = Omit<MessageInitShape<typeof HttpRuleSchema>, "$typeName">;
type Paths = Record<string, Record<string, { operationId: string; [name: string]: unknown }>>;

const GET = "shop.order.v1.OrderService/GetOrder";

/** The paths of a document in which one method has another route. */
function pathsWith(name: string, rule: Rule): Paths {
  const contracts = editedContracts(({ method }) =>
    setOption(method(name), http, create(HttpRuleSchema, rule)),
  );
  const document = openapi(
    { title: "Test", version: "1" },
    { services: servicesOf(contracts), enums: enumsOf(contracts) },
  );
  return document?.paths as Paths;
}

test("a variable of several segments is one parameter, which says what it looks like", () => {
  const paths = pathsWith(GET, { pattern: { case: "get", value: "/v7/{order_id=orders/*}:look" } });
  expect(paths["/v7/{order_id}:look"]?.get).toMatchObject({
    parameters: [
      { name: "order_id", in: "path", description: expect.stringContaining("It has the form `orders/*`.") },
      {},
      {},
    ],
  });
});

test("each way to call a method has an operation of its own", () => {
  const paths = pathsWith(GET, {
    pattern: { case: "get", value: "/v7/orders/{order_id}" },
    additionalBindings: [{ pattern: { case: "post", value: "/v7/orders:get" }, body: "*" }],
  });
  const [get, post] = [paths["/v7/orders/{order_id}"]?.get, paths["/v7/orders:get"]?.post];
  expect([get?.operationId, post?.operationId]).toEqual([
    "shop.order.v1.OrderService.GetOrder",
    "shop.order.v1.OrderService.GetOrder.2",
  ]);
  // What the path has is not in the body.
  expect([get?.requestBody, post?.requestBody]).toMatchObject([
    undefined,
    { required: true, content: { "application/json": { schema: { required: ["orderId"] } } } },
  ]);
});

test("a route that answers with a field of the response says so", () => {
  const paths = pathsWith(GET, {
    pattern: { case: "get", value: "/v7/orders/{order_id}" },
    responseBody: "order",
  });
  expect(paths["/v7/orders/{order_id}"]?.get).toMatchObject({
    responses: {
      "200": {
        content: { "application/json": { schema: { $ref: "#/components/schemas/shop.order.v1.Order" } } },
      },
    },
  });
});

test("paths that differ in the names of their parameters only are one path", () => {
  const paths = pathsWith("shop.order.v1.OrderService/CancelOrder", {
    pattern: { case: "delete", value: "/v1/customers/{order_id}" },
  });
  expect(Object.keys(paths["/v1/customers/{customer_id}"] ?? {})).toEqual(["get", "delete"]);
  expect(paths["/v1/customers/{customer_id}"]?.delete?.parameters).toMatchObject([
    { name: "customer_id", in: "path" },
    { name: "reason", in: "query" },
    {},
  ]);
});

test("what OpenAPI has no place for is left out", () => {
  const rule: Rule = { pattern: { case: "custom", value: { kind: "PURGE", path: "/v7/{order_id}" } } };
  expect(Object.keys(pathsWith(GET, rule))).not.toContain("/v7/{order_id}");
});

test("where there is no route there is no document", () => {
  expect(openapi({ title: "Test", version: "1" }, { services: [], enums: [] })).toBeUndefined();
});
