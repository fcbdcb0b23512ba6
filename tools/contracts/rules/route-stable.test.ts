import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { http } from "../../../gen/google/api/annotations_pb.ts";
import { type HttpRule, HttpRuleSchema } from "../../../gen/google/api/http_pb.ts";
import { type Editor, editOption, objections } from "../../../mesh/testing/edited-contracts.ts";
import { rule } from "./route-stable.ts";

const GET = "shop.order.v1.OrderService/GetOrder";
const PLACE = "shop.order.v1.OrderService/PlaceOrder";

const route =
  (name: string, change: (rule: HttpRule) => void) =>
  ({ method }: Editor) =>
    editOption(method(name), http, change);

test("the routes of the shop stay", () => {
  expect(objections(rule)).toEqual([]);
});

test("another path, verb or body is refused", () => {
  const moves = route(GET, (its) => {
    its.pattern = { case: "get", value: "/v2/orders/{order_id}" };
  });
  expect(objections(rule, moves)).toEqual([`${GET} can no more be called by GET /v1/orders/{order_id}.`]);
  const puts = route(PLACE, (its) => {
    its.pattern = { case: "put", value: "/v1/orders" };
  });
  expect(objections(rule, puts)).toEqual([
    `${PLACE} can no more be called by POST /v1/orders with the body *.`,
  ]);
  const unwraps = route(GET, (its) => {
    its.responseBody = "order";
  });
  expect(objections(rule, unwraps)).toEqual([`${GET} can no more be called by GET /v1/orders/{order_id}.`]);
});

test("a path may move if the old one stays as an additional binding", () => {
  const both = route(GET, (its) => {
    its.additionalBindings = [create(HttpRuleSchema, { pattern: its.pattern })];
    its.pattern = { case: "get", value: "/v1/orders/{order_id}/state" };
  });
  expect(objections(rule, both)).toEqual([]);
});

test("a new route must not take the paths of an old one", () => {
  const everything = ({ method }: Editor) => {
    editOption(method(GET), http, (its) => {
      its.pattern = { case: "get", value: "/v1/orders/{order_id=**}" };
    });
  };
  const takes = (editor: Editor) => {
    everything(editor);
    editOption(editor.method("shop.order.v1.OrderService/WatchOrder"), http, (its) => {
      its.additionalBindings = [
        create(HttpRuleSchema, { pattern: { case: "get", value: "/v1/orders/{order_id}" } }),
      ];
    });
  };
  expect(objections(rule, takes, everything)).toEqual([
    "shop.order.v1.OrderService/WatchOrder takes paths of GET /v1/orders/{order_id=**}, which belong to shop.order.v1.OrderService/GetOrder.",
  ]);
});
