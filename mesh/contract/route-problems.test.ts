import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { http } from "../../gen/google/api/annotations_pb.ts";
import { HttpRuleSchema } from "../../gen/google/api/http_pb.ts";
import { editedContracts, setOption } from "../testing/edited-contracts.ts";
import { routeProblems } from "./route-problems.ts";

type Rule = Omit<MessageInitShape<typeof HttpRuleSchema>, "$typeName">;

const get = (value: string): Rule => ({ pattern: { case: "get", value } });
const post = (value: string, body = "*"): Rule => ({ pattern: { case: "post", value }, body });

/** What is wrong if these methods have these routes. */
function problems(routes: Readonly<Record<string, Rule>>) {
  const { files } = editedContracts(({ method }) => {
    for (const [name, rule] of Object.entries(routes))
      setOption(method(name), http, create(HttpRuleSchema, rule));
  });
  return routeProblems(files.flatMap(({ services }) => services));
}

const GET = "shop.order.v1.OrderService/GetOrder";
const PLACE = "shop.order.v1.OrderService/PlaceOrder";
const LIST = "shop.audit.v1.AuditService/ListEvents";
const IMPORT = "shop.product.v1.ProductService/ImportProducts";
const SEND = "shop.notification.v1.NotificationService/SendNotification";

describe("a route is refused", () => {
  test.each<[name: string, method: string, rule: Rule, problem: string]>([
    ["that cannot be read", GET, get("orders"), 'the template orders has "orders" where / should be'],
    ["without a pattern", GET, {}, 'the template "" has its end where / should be'],
    [
      "with a selector",
      GET,
      { ...get("/v1/orders/{order_id}"), selector: "a.b" },
      "its route has a selector",
    ],
    [
      "for a verb that is none",
      GET,
      { pattern: { case: "custom", value: { kind: "get", path: "/v1/orders/{order_id}" } } },
      'its route is for the HTTP method "get"',
    ],
    ["whose GET has a body", GET, { ...get("/v1/orders/{order_id}"), body: "*" }, "its GET has a body"],
    [
      "whose body is no field",
      PLACE,
      post("/v1/orders", "order"),
      'its body "order" is no field of shop.order.v1.PlaceOrderRequest',
    ],
    [
      "whose response_body is no field",
      GET,
      { ...get("/v1/orders/{order_id}"), responseBody: "text" },
      'its response_body "text" is no field of shop.order.v1.GetOrderResponse',
    ],
    ["whose variable is no field", GET, get("/v1/orders/{id}"), "its path names id, which is no field"],
    [
      "whose variable is below no message",
      GET,
      get("/v1/orders/{order_id.id}"),
      "its path names order_id.id, which is no field",
    ],
    [
      "whose variable is a list",
      PLACE,
      post("/v1/orders/{lines}"),
      "its path names lines, which does not fit a path",
    ],
    [
      "whose variable is a message",
      PLACE,
      post("/v1/orders/{wait}"),
      "its path names wait, which does not fit a path",
    ],
    ["whose variable comes twice", GET, get("/v1/{order_id}/{order_id}"), "its path names order_id twice"],
    [
      "whose query would hold messages",
      PLACE,
      post("/v1/orders", "wait"),
      "its request has lines, which neither path nor body holds",
    ],
    [
      "whose query would hold a map",
      SEND,
      get("/v1/mails/{customer_id}"),
      "its request has data, which neither path nor body holds",
    ],
    [
      "of a stream in parts",
      IMPORT,
      post("/v1/products:import", "product"),
      "its requests are a stream, so each must be a body as a whole",
    ],
    [
      "of a stream with variables",
      IMPORT,
      post("/v1/{product.product_id}:import"),
      "its requests are a stream, so no path can say",
    ],
    [
      "with nested additional bindings",
      GET,
      {
        ...get("/v1/orders/{order_id}"),
        additionalBindings: [{ ...get("/a/{order_id}"), additionalBindings: [get("/b/{order_id}")] }],
      },
      "an additional binding has additional bindings",
    ],
  ])("%s", (_, method, rule, problem) => {
    const [first] = problems({ [method]: rule });
    expect(first?.about).toBe("route");
    expect(first?.what).toContain(`${method}: ${problem}`);
  });
});

test("a query may hold scalars, lists of them, and messages of these", () => {
  expect(problems({ [LIST]: get("/v1/events"), [GET]: get("/v1/the-order") })).toEqual([]);
});

describe("two routes", () => {
  test.each<[one: string, other: string, collide: boolean]>([
    ["/v9/{order_id}", "/v9/{customer_id}", true],
    ["/v9/{order_id}/a", "/v9/b/{customer_id}", true],
    ["/v9/{order_id=**}", "/v9/{customer_id=**}", true],
    ["/v9/{order_id}", "/v9/a", false],
    ["/v9/{order_id=**}", "/v9/{customer_id}", false],
    ["/v9/{order_id}:a", "/v9/{customer_id}:b", false],
    ["/v9/{order_id}:a", "/v9/{customer_id}", false],
    ["/v9/a/{order_id}", "/v9/b/{customer_id}", false],
  ])("%s and %s", (one, other, collide) => {
    const found = problems({ [GET]: get(one), "shop.customer.v1.CustomerService/GetCustomer": get(other) });
    expect(found.map(({ about }) => about)).toEqual(collide ? ["collision"] : []);
  });

  test("of other verbs do not meet, but one for any verb meets both", () => {
    const other = "shop.customer.v1.CustomerService/CreateCustomer";
    expect(problems({ [GET]: get("/v2/{order_id}"), [other]: post("/v2/x") })).toEqual([]);
    const any: Rule = { pattern: { case: "custom", value: { kind: "*", path: "/v2/{email}" } }, body: "*" };
    expect(problems({ [GET]: get("/v2/{order_id}"), [other]: any })).toHaveLength(1);
  });
});
