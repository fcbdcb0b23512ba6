import {
  type DescField,
  type DescMessage,
  fromJson,
  type JsonObject,
  type JsonValue,
  ScalarType,
  toJson,
} from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { StructSchema, ValueSchema } from "@bufbuild/protobuf/wkt";
import { createValidator } from "@bufbuild/protovalidate";
import { expect, test } from "vitest";
import { PlaceOrderRequestSchema } from "../../gen/shop/order/v1/order_service_pb.ts";
import { ProductSchema } from "../../gen/shop/product/v1/product_pb.ts";
import { UpdateProductRequestSchema } from "../../gen/shop/product/v1/product_service_pb.ts";
import { type Random, random } from "../../mesh/testing/random.ts";
import { ownFiles } from "../contracts/shop-services.ts";
import { type Form, jsonSchemas, type Schema } from "./json-schema.ts";
import { schemaChecker } from "./schema-checker.ts";

const messages = (await ownFiles())
  .flatMap((file) => [...nestedTypes(file)])
  .filter((type) => type.kind === "message")
  .concat(StructSchema);

/** A message of some sort as JSON, most of it well by the rules of the shop. */
function someJson(schema: DescMessage, chance: Random, depth = 0): JsonObject {
  const fields = schema.fields.filter(
    (field) => chance.chance(0.8) && (depth < 3 || !field.message || field.fieldKind === "map"),
  );
  const inOneof = new Set<unknown>();
  const kept = fields.filter(({ oneof }) => !oneof || (!inOneof.has(oneof) && inOneof.add(oneof)));
  return Object.fromEntries(kept.map((field) => [field.jsonName, someOf(field, chance, depth)]));
}

function someOf(field: DescField, chance: Random, depth: number): JsonValue {
  if (field.fieldKind === "list")
    return Array.from({ length: chance.below(4) }, () => someValue(field, chance, depth));
  if (field.fieldKind !== "map") return someValue(field, chance, depth);
  const key = field.mapKey === ScalarType.BOOL ? "true" : field.mapKey === ScalarType.STRING ? "key" : "7";
  return chance.chance(0.5) ? {} : { [key]: someValue(field, chance, depth) };
}

const TEXTS = ["a", "prod-1", "", "EUR", "ada@example.com", "x".repeat(300), "12345678", "a b"];

function someValue(field: DescField, chance: Random, depth: number): JsonValue {
  const { message, enum: ofEnum, scalar } = field;
  if (ofEnum) return ofEnum.typeName === "google.protobuf.NullValue" ? null : chance.pick(ofEnum.values).name;
  switch (message?.typeName) {
    case undefined:
      break;
    case "google.protobuf.Timestamp":
      return chance.pick(["2026-01-31T12:00:00Z", "1970-01-01T00:00:00.123456789Z"]);
    case "google.protobuf.Duration":
      return chance.pick(["0s", "1.5s", "-3s"]);
    case "google.protobuf.FieldMask":
      return chance.pick(["", "name", "name,availableStock"]);
    case "google.protobuf.Struct":
      return { a: [1, null, { b: true }] };
    case ValueSchema.typeName:
      return chance.pick([1, "x", true, [], {}]);
    case "google.protobuf.ListValue":
      return [1, "x"];
    case "google.protobuf.Any":
      return {};
    default:
      return someJson(message as DescMessage, chance, depth + 1);
  }
  switch (scalar) {
    case ScalarType.STRING:
      return chance.pick(TEXTS);
    case ScalarType.BYTES:
      return chance.pick(["", "aGVsbG8="]);
    case ScalarType.BOOL:
      return chance.chance(0.5);
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return chance.pick([0, 1.5, -3, "NaN", "-Infinity"]);
    default:
      return chance.pick([0, 1, 5, 1000, /U|FIXED/.test(ScalarType[scalar as ScalarType]) ? 2 : -1]);
  }
}

function checkedBy(message: DescMessage, form: Form) {
  const schemas = jsonSchemas();
  const schema = schemas.ofMessage(message, form);
  const check = schemaChecker({ components: { schemas: schemas.components() } });
  return (value: unknown) => check(schema, value);
}

test.each(messages.map((message) => [message.typeName, message] as const))(
  "what a server sends of %s is what its schema says",
  (_, message) => {
    const check = checkedBy(message, "answer");
    const chance = random(1);
    for (let nth = 0; nth < 20; nth++) {
      const sent = toJson(message, fromJson(message, someJson(message, chance)), {
        alwaysEmitImplicit: true,
      });
      expect(check(sent), JSON.stringify(sent)).toEqual([]);
    }
  },
);

const validator = createValidator();

test("no schema of a request refuses what the rules of its contract take", () => {
  const chance = random(2);
  let taken = 0;
  let refused = 0;
  for (const message of messages) {
    const check = checkedBy(message, "request");
    for (let nth = 0; nth < 40; nth++) {
      const json = someJson(message, chance);
      const isValid = validator.validate(message, fromJson(message, json)).kind === "valid";
      const problems = check(json);
      if (isValid) expect([message.typeName, json, problems]).toEqual([message.typeName, json, []]);
      if (isValid) taken++;
      else if (problems.length > 0) refused++;
    }
  }
  // Neither all of them nor none: else it would not have come far.
  expect(taken).toBeGreaterThan(500);
  expect(refused).toBeGreaterThan(500);
});

const ORDER = {
  customerId: "cust-ada",
  lines: [{ productId: "prod-espresso", quantity: 1 }],
  paymentToken: "tok_ok",
  wait: "5s",
};

test.each<[string, JsonObject]>([
  ["what must be said", { ...ORDER, customerId: undefined as never }],
  ["what is empty but must not be", { ...ORDER, paymentToken: "" }],
  ["a text of another shape", { ...ORDER, customerId: "a b" }],
  ["too few", { ...ORDER, lines: [] }],
  ["a number that is out of bounds", { ...ORDER, lines: [{ productId: "prod-espresso", quantity: 1001 }] }],
  ["a length of time of another form", { ...ORDER, wait: "PT5S" }],
  ["what nobody knows", { ...ORDER, colour: "red" }],
])("a request's schema refuses %s", (_, request) => {
  const check = checkedBy(PlaceOrderRequestSchema, "request");
  expect(check(ORDER)).toEqual([]);
  expect(check(JSON.parse(JSON.stringify(request)))).not.toEqual([]);
});

test("an answer has all that has a default; a request may leave out what the rules let be empty", () => {
  const { required: answered } = schemaOf(ProductSchema, "answer");
  expect(answered).toEqual(["productId", "name", "description", "availableStock"]);
  const { required: asked } = schemaOf(ProductSchema, "request");
  expect(asked).toEqual(["name", "price"]);
});

test("where a contract has the rules of a field ignored, what is in it has none", () => {
  const { product } = schemaOf(UpdateProductRequestSchema, "request").properties as Record<string, Schema>;
  expect(product).toMatchObject({ $ref: "#/components/schemas/shop.product.v1.Product-Unchecked" });
});

test("what no keyword can say is said in words", () => {
  const { price } = schemaOf(ProductSchema, "request").properties as Record<string, Schema>;
  expect(price?.description).toContain("Rules: the shop sells in EUR; a price is between 0 and 1,000,000");
  const { wait } = schemaOf(PlaceOrderRequestSchema, "request").properties as Record<string, Schema>;
  expect(wait?.description).toBe("Rules: at least 0s; at most 30s.");
});

function schemaOf(message: DescMessage, form: Form): Schema {
  return jsonSchemas().ofPart(message, form, []);
}
