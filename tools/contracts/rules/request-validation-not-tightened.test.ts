import { create } from "@bufbuild/protobuf";
import { FieldDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import * as validation from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { expect, test } from "vitest";
import { type Editor, objections, setOption, textField } from "../../../mesh/testing/edited-contracts.ts";
import { rule } from "./request-validation-not-tightened.ts";

const TITLE = "shop.review.v1.CreateReviewRequest.title";

const maxLen =
  (name: string, maxLen: bigint) =>
  ({ field }: Editor) =>
    setOption(
      field(name),
      validation.field,
      create(validation.FieldRulesSchema, {
        type: { case: "string", value: create(validation.StringRulesSchema, { maxLen }) },
      }),
    );

test("what is valid stays so, and more may be", () => {
  expect(objections(rule)).toEqual([]);
  expect(objections(rule, maxLen(TITLE, 300n))).toEqual([]);
});

test("a shorter text is refused", () => {
  expect(objections(rule, maxLen(TITLE, 100n))).toEqual([
    "Fewer requests are valid: field shop.review.v1.CreateReviewRequest.title: max_len is 100, was 200.",
  ]);
});

test("so is one in a message that requests hold", () => {
  expect(objections(rule, maxLen("shop.product.v1.Product.description", 10n))).toHaveLength(1);
});

test("what only answers hold does not matter", () => {
  expect(objections(rule, maxLen("shop.order.v1.GetOrderResponse.order", 10n))).toEqual([]);
});

test("a new field may be added, but not one that old callers would have to know", () => {
  const adds = (rules: validation.FieldRules) => (editor: Editor) => {
    const field = create(FieldDescriptorProtoSchema, textField("channel", 9));
    setOption(field, validation.field, rules);
    editor.message("shop.order.v1.PlaceOrderRequest").field.push(field);
  };
  const text = (rules: Partial<validation.StringRules>) =>
    create(validation.FieldRulesSchema, {
      type: { case: "string", value: create(validation.StringRulesSchema, rules as object) },
    });
  expect(objections(rule, adds(text({ maxLen: 20n })))).toEqual([]);
  expect(objections(rule, adds(text({ minLen: 1n })))).toEqual([
    expect.stringContaining("channel: it is new, and who leaves it out breaks a rule"),
  ]);
  expect(objections(rule, adds(create(validation.FieldRulesSchema, { required: true })))).toHaveLength(1);
});
