import { clearExtension } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { type Access, method as access, Level, service } from "../../../gen/mesh/auth/v1/auth_pb.ts";
import { type Editor, editOption, objections } from "../../../mesh/testing/edited-contracts.ts";
import { rule } from "./rpc-has-access.ts";

const GET = "shop.order.v1.OrderService/GetOrder";
const LIST = "shop.order.v1.OrderService/ListOrders";

const change =
  (name: string, its: (access: Access) => void) =>
  ({ method }: Editor) =>
    editOption(method(name), access, its);

test("every RPC of the shop and of the mesh says who may call it", () => {
  expect(objections(rule)).toEqual([]);
});

test("an RPC that does not say it is named, unless its service does", () => {
  const silent = ({ method }: Editor) => {
    const { options } = method(GET);
    if (options) clearExtension(options, access);
  };
  expect(objections(rule, silent)).toEqual([`${GET} states no level of (mesh.auth.v1.method).`]);
  const spokenFor = (editor: Editor) => {
    silent(editor);
    editOption(editor.service("shop.order.v1.OrderService"), service, (its) => {
      its.level = Level.OPERATOR;
    });
  };
  expect(objections(rule, spokenFor)).toEqual([]);
});

test.each([
  [
    "without an owner",
    change(LIST, (its) => {
      its.owner = { case: undefined };
    }),
    `${LIST} does not say how it is known whose own it is.`,
  ],
  [
    "with an owner that is no field",
    change(LIST, (its) => {
      its.owner = { case: "ownerField", value: "owner_id" };
    }),
    `${LIST} names "owner_id" as the owner, which is no text of shop.order.v1.ListOrdersRequest.`,
  ],
  [
    "with an owner that is no text",
    change(LIST, (its) => {
      its.owner = { case: "ownerField", value: "page_size" };
    }),
    `${LIST} names "page_size" as the owner, which is no text of shop.order.v1.ListOrdersRequest.`,
  ],
  [
    "with an owner below a text",
    change(LIST, (its) => {
      its.owner = { case: "ownerField", value: "customer_id.name" };
    }),
    `${LIST} names "customer_id.name" as the owner, which is no text of shop.order.v1.ListOrdersRequest.`,
  ],
  [
    "with an owner in one of many requests",
    change("shop.product.v1.ProductService/ImportProducts", (its) => {
      its.level = Level.SELF;
      its.owner = { case: "ownerField", value: "product.product_id" };
    }),
    "shop.product.v1.ProductService/ImportProducts is a stream of requests, so no field of one request says whose own it is.",
  ],
  [
    "with an owner, but for everybody",
    change(LIST, (its) => {
      its.level = Level.PUBLIC;
    }),
    `${LIST} says whose own it is, which LEVEL_SELF alone asks for.`,
  ],
])("an RPC %s is refused", (_, edit, message) => {
  expect(objections(rule, edit)).toEqual([message]);
});

test("the owner may stand in a message of the request", () => {
  const nested = change("shop.product.v1.ProductService/UpdateProduct", (its) => {
    its.level = Level.SELF;
    its.owner = { case: "ownerField", value: "product.product_id" };
  });
  expect(objections(rule, nested)).toEqual([]);
});
