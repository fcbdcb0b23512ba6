import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type FieldRules,
  FieldRulesSchema,
  field as fieldRules,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { expect, test } from "vitest";
import { editedContracts, setOption } from "../../mesh/testing/edited-contracts.ts";
import { type Form, jsonSchemas, type Schema } from "./json-schema.ts";

type Rules = Omit<MessageInitShape<typeof FieldRulesSchema>, "$typeName">;

/** The schema of a field with other rules, without what is said of the field itself. */
function schemaWith(name: string, rules: Rules, form: Form = "request"): Schema {
  const at = name.lastIndexOf(".");
  const { registry } = editedContracts(({ field }) =>
    setOption(field(name), fieldRules, create(FieldRulesSchema, rules) as FieldRules),
  );
  const message = registry.getMessage(name.slice(0, at));
  const field = message?.fields.find((each) => each.name === name.slice(at + 1));
  if (!field) throw new Error(`there is no ${name}`);
  return jsonSchemas().ofField(field, form);
}

const TEXT = "shop.order.v1.GetOrderRequest.order_id";
const COUNT = "shop.order.v1.OrderLine.quantity";
const LONG = "shop.review.v1.ProductRatings.sum";
const LIST = "shop.product.v1.WatchStockRequest.product_ids";
const STATE = "shop.order.v1.Order.state";
const TIME = "shop.order.v1.Order.create_time";

test.each<[name: string, field: string, rules: Rules, schema: Schema]>([
  [
    "lengths",
    TEXT,
    { type: { case: "string", value: { minLen: 2n, maxLen: 9n } } },
    { type: "string", minLength: 2, maxLength: 9 },
  ],
  ["one length", TEXT, { type: { case: "string", value: { len: 4n } } }, { minLength: 4, maxLength: 4 }],
  [
    "parts of a text",
    TEXT,
    { type: { case: "string", value: { prefix: "a.", suffix: "z", contains: "(", notContains: "$" } } },
    { pattern: "^a\\.", allOf: [{ pattern: "z$" }, { pattern: "\\(" }], not: { pattern: "\\$" } },
  ],
  [
    "a pattern that JSON Schema does not take",
    TEXT,
    { type: { case: "string", value: { pattern: "(?i)^a$" } } },
    { type: "string", description: "Rules: it matches (?i)^a$." },
  ],
  [
    "a well-known form",
    TEXT,
    { type: { case: "string", value: { wellKnown: { case: "hostname", value: true } } } },
    { format: "hostname" },
  ],
  [
    "one of some",
    TEXT,
    { type: { case: "string", value: { in: ["a", "b"], notIn: ["c"] } } },
    { enum: ["a", "b"], not: { enum: ["c"] } },
  ],
  [
    "bounds of a number",
    COUNT,
    {
      type: {
        case: "int32",
        value: { greaterThan: { case: "gt", value: 0 }, lessThan: { case: "lte", value: 9 } },
      },
    },
    { type: "integer", exclusiveMinimum: 0, maximum: 9 },
  ],
  ["a number of one value", COUNT, { type: { case: "int32", value: { const: 0 } } }, { const: 0 }],
  [
    "bounds that have changed places",
    COUNT,
    {
      type: {
        case: "int32",
        value: { greaterThan: { case: "gt", value: 9 }, lessThan: { case: "lt", value: 1 } },
      },
    },
    { type: "integer", description: "Rules: more than 9; less than 1." },
  ],
  [
    "bounds of a number that is a text",
    LONG,
    { type: { case: "int64", value: { greaterThan: { case: "gte", value: 5n } } } },
    { type: ["string", "integer"], description: "Rules: at least 5." },
  ],
  [
    "how many, and each of them",
    LIST,
    {
      type: {
        case: "repeated",
        value: { minItems: 1n, unique: true, items: { type: { case: "string", value: { maxLen: 3n } } } },
      },
    },
    { type: "array", minItems: 1, uniqueItems: true, items: { type: "string", maxLength: 3 } },
  ],
  [
    "values of an enum",
    STATE,
    { type: { case: "enum", value: { notIn: [0] } } },
    { not: { enum: ["ORDER_STATE_UNSPECIFIED"] } },
  ],
  [
    "a time",
    TIME,
    { type: { case: "timestamp", value: { greaterThan: { case: "gte", value: { seconds: 0n } } } } },
    { format: "date-time", description: "Rules: at least 1970-01-01T00:00:00.000Z." },
  ],
  [
    "an expression",
    TEXT,
    { cel: [{ id: "token.known", message: "the shop knows it", expression: "true" }] },
    { description: "Rules: the shop knows it." },
  ],
])("%s", (_, field, rules, schema) => {
  expect(schemaWith(field, rules)).toMatchObject(schema);
});

test("an answer has no rules: who sends it is not asked for them", () => {
  const rules: Rules = { type: { case: "string", value: { minLen: 2n } } };
  expect(schemaWith(TEXT, rules, "answer")).toEqual({ type: "string" });
});

test("where empty is let through, so it is here", () => {
  const rules: Rules = { ignore: 1, type: { case: "string", value: { minLen: 2n } } };
  expect(schemaWith(TEXT, rules)).toMatchObject({ anyOf: [{ type: "string", minLength: 2 }, { const: "" }] });
});
