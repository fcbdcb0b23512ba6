import { clearExtension } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { type Access, method as access, Level } from "../../../gen/mesh/auth/v1/auth_pb.ts";
import { type Editor, editOption, objections } from "../../../mesh/testing/edited-contracts.ts";
import { rule } from "./access-not-loosened.ts";

const LIST = "shop.order.v1.OrderService/ListOrders";
const REFUND = "shop.payment.v1.PaymentService/RefundPayment";
const CAPTURE = "shop.payment.v1.PaymentService/CapturePayment";
const PUBLIC = "shop.product.v1.ProductService/GetProduct";

const change =
  (name: string, its: (access: Access) => void) =>
  ({ method }: Editor) =>
    editOption(method(name), access, its);

const level = (name: string, is: Level) =>
  change(name, (its) => {
    its.level = is;
    its.owner = { case: undefined };
  });

test("what is stated stays so, and may be tightened", () => {
  expect(objections(rule)).toEqual([]);
  expect(objections(rule, level(LIST, Level.OPERATOR))).toEqual([]);
  expect(objections(rule, level(PUBLIC, Level.CUSTOMER))).toEqual([]);
});

test("what stated nothing may begin to state something", () => {
  const silent = ({ method }: Editor) => {
    const { options } = method(PUBLIC);
    if (options) clearExtension(options, access);
  };
  expect(objections(rule, undefined, silent)).toEqual([]);
});

test.each([
  ["one's own for everybody", level(LIST, Level.PUBLIC), `${LIST} is for public now, and was for self.`],
  [
    "one's own for all customers",
    level(LIST, Level.CUSTOMER),
    `${LIST} is for customer now, and was for self.`,
  ],
  [
    "an operator's for customers",
    level(REFUND, Level.CUSTOMER),
    `${REFUND} is for customer now, and was for operator.`,
  ],
  [
    "a service's for operators",
    level(CAPTURE, Level.OPERATOR),
    `${CAPTURE} is for operator now, and was for internal.`,
  ],
  [
    "an operator's for services",
    change(REFUND, (its) => {
      its.services = true;
    }),
    `${REFUND} may be called by services in their own name now.`,
  ],
  [
    "another owner",
    change(LIST, (its) => {
      its.owner = { case: "ownerKept", value: true };
    }),
    `${LIST} takes what is kept for the owner now, and took customer_id.`,
  ],
])("%s is refused", (_, edit, message) => {
  expect(objections(rule, edit)).toEqual([message]);
});
