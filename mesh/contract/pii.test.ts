import {
  create,
  createFileRegistry,
  type DescMessage,
  fromBinary,
  setExtension,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import {
  AnySchema,
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FieldOptionsSchema,
  FileDescriptorProtoSchema,
  file_google_protobuf_any,
} from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { pii } from "../../gen/mesh/event/v1/event_pb.ts";
import { CustomerRegisteredSchema } from "../../gen/shop/customer/v1/customer_event_pb.ts";
import {
  CreateCustomerRequestSchema,
  GetCustomerResponseSchema,
} from "../../gen/shop/customer/v1/customer_service_pb.ts";
import { OrderPlacedSchema } from "../../gen/shop/order/v1/order_event_pb.ts";
import { masked, mayBePrivate } from "./pii.ts";

const { STRING, INT32, BYTES, MESSAGE } = FieldDescriptorProto_Type;
const { OPTIONAL, REPEATED } = FieldDescriptorProto_Label;

function field(name: string, number: number, type: FieldDescriptorProto_Type, more: object = {}) {
  return { name, number, type, label: OPTIONAL, jsonName: name, ...more };
}

function personal() {
  const options = create(FieldOptionsSchema);
  setExtension(options, pii, true);
  return { options };
}

const TYPE = ".test.pii.v1";
/** A person who holds other people in every way that a message can. */
const person = createFileRegistry(
  create(FileDescriptorProtoSchema, {
    name: "test/pii/v1/person.proto",
    package: "test.pii.v1",
    syntax: "proto3",
    dependency: ["google/protobuf/any.proto"],
    messageType: [
      {
        name: "Person",
        field: [
          field("id", 1, STRING),
          field("name", 2, STRING, personal()),
          field("age", 3, INT32, personal()),
          field("photo", 4, BYTES, personal()),
          field("nicknames", 5, STRING, { label: REPEATED, ...personal() }),
          field("partner", 6, MESSAGE, { typeName: `${TYPE}.Person` }),
          field("children", 7, MESSAGE, { typeName: `${TYPE}.Person`, label: REPEATED }),
          field("friends", 8, MESSAGE, { typeName: `${TYPE}.Person.FriendsEntry`, label: REPEATED }),
          field("doctor", 9, MESSAGE, { typeName: `${TYPE}.Person`, ...personal() }),
          field("other", 10, MESSAGE, { typeName: ".google.protobuf.Any" }),
          field("as_text", 11, STRING, { oneofIndex: 0, ...personal() }),
        ],
        oneofDecl: [{ name: "choice" }],
        nestedType: [
          {
            name: "FriendsEntry",
            field: [field("key", 1, STRING), field("value", 2, MESSAGE, { typeName: `${TYPE}.Person` })],
            options: { mapEntry: true },
          },
        ],
      },
    ],
  }),
  (name) => (name === file_google_protobuf_any.proto.name ? file_google_protobuf_any : undefined),
).getMessage("test.pii.v1.Person") as DescMessage;

test("what is marked in the contract is masked, and nothing else", () => {
  const event = create(CustomerRegisteredSchema, {
    customerId: "cust-ada",
    email: "ada@example.com",
    displayName: "Ada",
  });
  expect(masked(CustomerRegisteredSchema, event)).toMatchObject({
    customerId: "cust-ada",
    email: "***",
    displayName: "***",
  });
  expect(event).toMatchObject({ email: "ada@example.com" });
});

test("a secret is masked like what is personal", () => {
  const request = create(CreateCustomerRequestSchema, {
    email: "a@b.c",
    password: "ada-demo",
    requestId: "r",
  });
  expect(masked(CreateCustomerRequestSchema, request)).toMatchObject({
    email: "***",
    password: "***",
    requestId: "r",
  });
});

test("what was not set stays so", () => {
  const event = create(CustomerRegisteredSchema, { customerId: "cust-ada" });
  expect(toJson(CustomerRegisteredSchema, masked(CustomerRegisteredSchema, event))).toEqual({
    customerId: "cust-ada",
  });
});

const named = (id: string) => ({
  id,
  name: "a name",
  age: 7,
  photo: new Uint8Array([1]),
  nicknames: ["nick"],
});

test("messages within messages, lists, maps and choices are masked too", () => {
  const message = create(person, {
    ...named("a"),
    partner: { ...named("b"), partner: named("c") },
    children: [named("d"), named("e")],
    friends: { f: named("f") },
    doctor: named("g"),
    choice: { case: "as_text", value: "text" },
    other: { typeUrl: "type.googleapis.com/x", value: new Uint8Array([1, 2]) },
  } as Record<string, unknown>);
  const hidden = (id: string) => ({ id, name: "***" });
  const shown = masked(person, message) as unknown as Record<string, unknown>;
  const { other, ...json } = toJson(person, { ...shown, other: undefined } as never) as Record<
    string,
    unknown
  >;
  expect(other).toBeUndefined();
  expect(json).toMatchObject({
    ...hidden("a"),
    partner: { ...hidden("b"), partner: hidden("c") },
    children: [hidden("d"), hidden("e")],
    friends: { f: hidden("f") },
  });
  expect(JSON.stringify(json)).not.toMatch(/a name|nick|text":"text|photo|age|doctor/);
  expect(shown).toMatchObject({ other: { typeUrl: "type.googleapis.com/x", value: new Uint8Array() } });
});

test.each([
  ["holds what is personal", CustomerRegisteredSchema, true],
  ["holds it within", GetCustomerResponseSchema, true],
  ["holds itself, and what is personal", person, true],
  ["holds what cannot be judged", AnySchema, true],
  ["holds nothing of that", OrderPlacedSchema, false],
])("it is told whether a type %s", (_, schema, isSo) => {
  expect(mayBePrivate(schema)).toBe(isSo);
});

test("a field that this version does not know is dropped, deep inside too", () => {
  // What a later version says of a person in field 60.
  const later = new Uint8Array([0xe2, 0x03, 0x03, 0x41, 0x64, 0x61]);
  const inner = new Uint8Array([
    ...toBinary(person, create(person, { id: "b" } as Record<string, unknown>)),
    ...later,
  ]);
  const bytes = new Uint8Array([0x0a, 1, 0x61, 0x32, inner.length, ...inner, ...later]);
  const message = fromBinary(person, bytes);
  expect(reflect(person, message).getUnknown()).toHaveLength(1);
  const shown = masked(person, message);
  expect(Buffer.from(toBinary(person, shown)).toString()).not.toContain("Ada");
  expect(toJson(person, shown)).toEqual({ id: "a", partner: { id: "b" } });
});
