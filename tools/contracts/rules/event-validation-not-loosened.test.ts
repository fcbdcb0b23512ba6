import { create } from "@bufbuild/protobuf";
import * as validation from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { expect, test } from "vitest";
import { type Editor, objections, setOption } from "../../../mesh/testing/edited-contracts.ts";
import { rule } from "./event-validation-not-loosened.ts";

const ID = "shop.order.v1.OrderPlaced.order_id";

const maxLen =
  (maxLen: bigint) =>
  ({ field }: Editor) =>
    setOption(
      field(ID),
      validation.field,
      create(validation.FieldRulesSchema, {
        type: { case: "string", value: create(validation.StringRulesSchema, { maxLen }) },
      }),
    );

test("events promise what they promised, or more", () => {
  expect(objections(rule)).toEqual([]);
  expect(objections(rule, maxLen(64n), maxLen(128n))).toEqual([]);
});

test("an event that promises less is refused", () => {
  expect(objections(rule, maxLen(128n), maxLen(64n))).toEqual([
    "More events are valid: field shop.order.v1.OrderPlaced.order_id: max_len is 128, was 64.",
  ]);
});

test("so is one whose rule is gone", () => {
  expect(objections(rule, undefined, maxLen(64n))).toEqual([
    "More events are valid: field shop.order.v1.OrderPlaced.order_id: max_len is gone, was 64.",
  ]);
});
