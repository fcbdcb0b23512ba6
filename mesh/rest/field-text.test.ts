import { create, createFileRegistry, type DescMessage, type JsonValue, toJson } from "@bufbuild/protobuf";
import {
  DescriptorProtoSchema,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  file_google_protobuf_duration,
  file_google_protobuf_field_mask,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_wrappers,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { fieldsAt } from "../contract/field-path.ts";
import { BadText, putTexts } from "./field-text.ts";

const WELL_KNOWN = [
  file_google_protobuf_duration,
  file_google_protobuf_field_mask,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_wrappers,
];

let number = 0;
const field = (name: string, type: Type, more: { label?: Label; typeName?: string } = {}) => ({
  name,
  jsonName: name.replaceAll(/_([a-z])/g, (_, a) => a.toUpperCase()),
  number: ++number,
  type,
  label: Label.OPTIONAL,
  ...more,
});
const wellKnown = (name: string, type: string) =>
  field(name, Type.MESSAGE, { typeName: `.google.protobuf.${type}` });

/** A message with a field of each kind. */
const Kinds = createFileRegistry(
  create(FileDescriptorSetSchema, {
    file: [
      ...WELL_KNOWN.map(({ proto }) => proto),
      create(FileDescriptorProtoSchema, {
        name: "kinds.proto",
        package: "test",
        syntax: "proto3",
        dependency: WELL_KNOWN.map(({ proto }) => proto.name),
        enumType: [
          {
            name: "Color",
            value: [
              { name: "COLOR_UNSPECIFIED", number: 0 },
              { name: "COLOR_RED", number: 1 },
            ],
          },
        ],
        messageType: [
          create(DescriptorProtoSchema, {
            name: "Kinds",
            field: [
              field("a_text", Type.STRING),
              field("whole", Type.INT32),
              field("large", Type.INT64),
              field("natural", Type.UINT32),
              field("real", Type.DOUBLE),
              field("is_so", Type.BOOL),
              field("raw", Type.BYTES),
              field("color", Type.ENUM, { typeName: ".test.Color" }),
              field("many", Type.INT32, { label: Label.REPEATED }),
              field("colors", Type.ENUM, { label: Label.REPEATED, typeName: ".test.Color" }),
              field("inner", Type.MESSAGE, { typeName: ".test.Kinds" }),
              wellKnown("at", "Timestamp"),
              wellKnown("lasts", "Duration"),
              wellKnown("mask", "FieldMask"),
              wellKnown("maybe", "BoolValue"),
              wellKnown("number_or_none", "Int64Value"),
              wellKnown("free", "Struct"),
            ],
          }),
        ],
      }),
    ],
  }),
).getMessage("test.Kinds") as DescMessage;

function put(path: string, ...texts: string[]): JsonValue {
  const message = create(Kinds);
  const fields = fieldsAt(Kinds, path);
  if (!fields) throw new Error(`there is no ${path}`);
  putTexts(Kinds, message, fields, texts);
  return toJson(Kinds, message);
}

test.each<[string, string[], JsonValue]>([
  ["a_text", ["x/y ☕"], { aText: "x/y ☕" }],
  ["a_text", [""], {}],
  ["whole", ["-12"], { whole: -12 }],
  ["large", ["9007199254740993"], { large: "9007199254740993" }],
  ["natural", ["4294967295"], { natural: 4294967295 }],
  ["real", ["1.5e3"], { real: 1500 }],
  ["real", ["-Infinity"], { real: "-Infinity" }],
  ["is_so", ["true"], { isSo: true }],
  ["is_so", ["false"], {}],
  ["raw", ["AP8="], { raw: "AP8=" }],
  ["raw", ["_-8"], { raw: "/+8=" }],
  ["color", ["COLOR_RED"], { color: "COLOR_RED" }],
  ["color", ["1"], { color: "COLOR_RED" }],
  ["many", ["1", "2"], { many: [1, 2] }],
  ["colors", ["COLOR_RED", "0"], { colors: ["COLOR_RED", "COLOR_UNSPECIFIED"] }],
  ["inner.inner.whole", ["3"], { inner: { inner: { whole: 3 } } }],
  ["at", ["2026-01-31T12:00:00Z"], { at: "2026-01-31T12:00:00Z" }],
  ["lasts", ["1.5s"], { lasts: "1.500s" }],
  ["mask", ["a_text,inner.is_so"], { mask: "aText,inner.isSo" }],
  ["mask", ["aText"], { mask: "aText" }],
  ["maybe", ["false"], { maybe: false }],
  ["number_or_none", ["7"], { numberOrNone: "7" }],
])("%s takes %s", (path, texts, expected) => {
  expect(put(path, ...texts)).toEqual(expected);
});

test.each([
  ["whole", "1.5", 'is an int32, not "1.5"'],
  ["whole", "", 'is an int32, not ""'],
  ["whole", "99999999999", 'is an int32, not "99999999999"'],
  ["natural", "-1", 'is a uint32, not "-1"'],
  ["large", "1e3", 'is an int64, not "1e3"'],
  ["is_so", "yes", 'is true or false, not "yes"'],
  ["raw", "?", 'is base64, not "?"'],
  ["color", "RED", 'is one of COLOR_UNSPECIFIED, COLOR_RED, not "RED"'],
  ["many", "x", 'is an int32, not "x"'],
  ["at", "yesterday", 'is a time such as 2026-01-31T12:00:00Z, not "yesterday"'],
  ["lasts", "2", 'is a length of time such as 1.5s, not "2"'],
  ["maybe", "x", 'is true or false, not "x"'],
  ["number_or_none", "x", 'is an int64, not "x"'],
  ["free", "{}", "is a google.protobuf.Struct, which no query can hold: name a field of it"],
  ["inner", "{}", "is a test.Kinds, which no query can hold: name a field of it"],
])("%s does not take %s", (path, text, why) => {
  expect(() => put(path, text)).toThrow(new BadText(why));
});

test("what is single is given once", () => {
  expect(() => put("whole", "1", "2")).toThrow(new BadText("is there more than once, but is no list"));
});
