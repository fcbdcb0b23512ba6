import { create } from "@bufbuild/protobuf";
import * as validation from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { expect, test } from "vitest";
import { method as policy } from "../../../gen/mesh/policy/v1/policy_pb.ts";
import { editOption, objections, setOption, textField } from "../../../mesh/testing/edited-contracts.ts";
import { rule } from "./request-id-is-key.ts";

const PLACE = "shop.order.v1.OrderService/PlaceOrder";

test("in the shop every request_id is a key, and every key a request_id", () => {
  expect(objections(rule)).toEqual([]);
});

test("a key of another name is refused, and so is the request_id that is none then", () => {
  const found = objections(rule, ({ method }) =>
    editOption(method(PLACE), policy, (its) => {
      its.idempotencyKeyField = "payment_token";
    }),
  );
  expect(found).toEqual([
    `${PLACE} calls its idempotency key payment_token; it must be called request_id.`,
    `${PLACE} takes a request_id, so it must state idempotency_key_field: "request_id".`,
  ]);
});

test("an idempotent RPC may take a request_id without keeping it", () => {
  const found = objections(rule, ({ message }) => {
    const field = textField("request_id", 9);
    setOption(
      field,
      validation.field,
      create(validation.FieldRulesSchema, {
        type: { case: "string", value: create(validation.StringRulesSchema, { maxLen: 64n }) },
      }),
    );
    message("shop.order.v1.CancelOrderRequest").field.push(field);
  });
  expect(found).toEqual([]);
});

test("a request_id of any length is refused", () => {
  const found = objections(rule, ({ field }) =>
    setOption(
      field("shop.order.v1.PlaceOrderRequest.request_id"),
      validation.field,
      create(validation.FieldRulesSchema),
    ),
  );
  expect(found).toEqual([
    expect.stringContaining("shop.order.v1.PlaceOrderRequest.request_id must be a text whose length"),
  ]);
});
