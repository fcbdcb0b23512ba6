import { create, type DescService, type JsonValue, toJson } from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FieldDescriptorProtoSchema,
  OneofDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { AuditService } from "../../gen/shop/audit/v1/audit_service_pb.ts";
import { OrderService } from "../../gen/shop/order/v1/order_service_pb.ts";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { findRoute, routesOf } from "../contract/routes.ts";
import { AppError } from "../core/errors.ts";
import { editedContracts } from "../testing/edited-contracts.ts";
import { requestMessage, streamedMessage } from "./request-message.ts";

function read(service: DescService, call: string, body?: JsonValue): JsonValue {
  const [verb = "", url = ""] = call.split(" ");
  const [path = "", query = ""] = url.split("?");
  const found = findRoute(routesOf(service), verb, path);
  if (!found) throw new Error(`there is no ${call}`);
  const { route, variables } = found;
  const message = requestMessage(route, { variables, query: new URLSearchParams(query), body });
  return toJson(route.method.input, message);
}

/** The fields that a call is refused for, and why. */
function refused(service: DescService, call: string, body?: JsonValue) {
  try {
    read(service, call, body);
  } catch (error) {
    if (error instanceof AppError)
      return error.violations.map(({ field, description }) => [field, description]);
    throw error;
  }
  throw new Error("it was not refused");
}

test("the path fills what it names", () => {
  expect(read(OrderService, "GET /v1/orders/a%2Fb")).toEqual({ orderId: "a/b" });
});

test("the query fills the rest: nested, repeated, of well-known types, by either name", () => {
  expect(
    read(AuditService, "GET /v1/events?filter.type=OrderPlaced&since=2026-01-31T12:00:00Z&pageSize=2"),
  ).toEqual({
    filter: { type: "OrderPlaced" },
    since: "2026-01-31T12:00:00Z",
    pageSize: 2,
  });
  expect(
    read(ProductService, "GET /v1/products:watchStock?product_ids=a&product_ids=b&productIds=c"),
  ).toEqual({
    productIds: ["a", "b", "c"],
  });
});

test("the body is all that the path leaves, in either form of the names", () => {
  expect(
    read(OrderService, "POST /v1/orders", {
      customer_id: "c",
      lines: [{ productId: "p", quantity: 2 }],
      wait: "5s",
    }),
  ).toEqual({ customerId: "c", lines: [{ productId: "p", quantity: 2 }], wait: "5s" });
  expect(read(OrderService, "POST /v1/orders/o1:cancel", { reason: "no" })).toEqual({
    orderId: "o1",
    reason: "no",
  });
});

test("without a body all of it is empty", () => {
  expect(read(OrderService, "POST /v1/orders/o1:cancel")).toEqual({ orderId: "o1" });
});

test("the body is one field, and path and query fill others and parts of it", () => {
  expect(
    read(ProductService, "PATCH /v1/products/p1?update_mask=available_stock", { availableStock: 3 }),
  ).toEqual({
    product: { productId: "p1", availableStock: 3 },
    updateMask: "availableStock",
  });
  expect(
    read(ProductService, "PATCH /v1/products/p1?update_mask=name", { productId: "p1", name: "x" }),
  ).toMatchObject({
    product: { productId: "p1", name: "x" },
  });
});

test("every bad field is named", () => {
  expect(refused(AuditService, "GET /v1/events?since=now&page_size=x&colour=red&filter.nothing=1")).toEqual([
    ["since", 'is a time such as 2026-01-31T12:00:00Z, not "now"'],
    ["page_size", 'is an int32, not "x"'],
    ["colour", "is no field of shop.audit.v1.ListEventsRequest"],
    ["filter.nothing", "is no field of shop.audit.v1.ListEventsRequest"],
  ]);
});

test.each<[string, string, JsonValue | undefined, string, string]>([
  ["what the path has", "GET /v1/orders/o1?orderId=o2", undefined, "order_id", "stands in the path"],
  ["what the body has", "POST /v1/orders?customer_id=c", {}, "customer_id", "belongs into the body"],
  [
    "another id than the path's",
    "POST /v1/orders/o1:cancel",
    { orderId: "o2" },
    "order_id",
    "is one thing in the path and another in the body",
  ],
  [
    "a field twice",
    "GET /v1/customers/c/orders?page_size=1&pageSize=2",
    undefined,
    "page_size",
    "is there more than once, but is no list",
  ],
])("%s is refused", (_, call, body, field, why) => {
  expect(refused(OrderService, call, body)).toEqual([[field, why]]);
});

test("what changes is what the body says, unless the mask says what", () => {
  const path = "PATCH /v1/products/p1";
  const body = { productId: "p1", name: "x", available_stock: 0 };
  expect(read(ProductService, path, body)).toMatchObject({ updateMask: "name,availableStock" });
  expect(read(ProductService, `${path}?update_mask=name`, body)).toMatchObject({ updateMask: "name" });
  expect(read(ProductService, path, {})).toMatchObject({ updateMask: "" });
});

test("one member of a oneof is said, wherever it stands", () => {
  const { registry } = editedContracts(({ message }) => {
    const request = message("shop.order.v1.CancelOrderRequest");
    request.oneofDecl.push(create(OneofDescriptorProtoSchema, { name: "why" }));
    const [, reason] = request.field;
    if (reason) reason.oneofIndex = 0;
    request.field.push(
      create(FieldDescriptorProtoSchema, {
        name: "code",
        jsonName: "code",
        number: 99,
        type: FieldDescriptorProto_Type.STRING,
        label: FieldDescriptorProto_Label.OPTIONAL,
        oneofIndex: 0,
      }),
    );
  });
  const service = registry.getService("shop.order.v1.OrderService") as DescService;
  const [route] = routesOf(service).filter(({ method }) => method.name === "CancelOrder");
  if (!route) throw new Error("there is no route");
  const refused = (query: string, body?: JsonValue) => {
    const said = { variables: new Map([["order_id", "o1"]]), query: new URLSearchParams(query), body };
    try {
      requestMessage({ ...route, body: undefined, verb: "GET" }, said);
    } catch (error) {
      return (error as AppError).violations;
    }
    return [];
  };
  expect(refused("reason=a")).toEqual([]);
  expect(refused("reason=a&code=b")).toEqual([
    { field: "code", description: "cannot be said beside reason: it is one or the other" },
  ]);
});

test("a field that the body is, cannot be in the query", () => {
  expect(refused(ProductService, "POST /v1/products?product.name=x", {})).toEqual([
    ["product.name", "is what the body is"],
  ]);
});

test("a body is refused where none is taken, and where a field does not fit or is unknown", () => {
  expect(refused(OrderService, "GET /v1/orders/o1", {})).toEqual([["", "this route takes no body"]]);
  expect(refused(OrderService, "POST /v1/orders", { customer_id: 7 })).toEqual([
    ["customer_id", expect.stringMatching(/^the body: expected string/)],
  ]);
  expect(refused(OrderService, "POST /v1/orders", { colour: "red" })).toEqual([
    ["", expect.stringMatching(/^the body: .*"colour" is unknown/)],
  ]);
  expect(refused(OrderService, "POST /v1/orders", [])).toEqual([["", expect.stringMatching(/^the body: /)]]);
});

test("a message of a stream is a line, and a bad one is known by its number", () => {
  const route = findRoute(routesOf(ProductService), "POST", "/v1/products:import")?.route;
  if (!route) throw new Error("there is no import");
  expect(streamedMessage(route, { product: { name: "x" } }, 1)).toEqual(
    create(ProductService.method.importProducts.input, { product: { name: "x" } }),
  );
  expect(() => streamedMessage(route, { product: 1 }, 7)).toThrow(/line 7/);
});
