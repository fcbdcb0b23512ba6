import type { DescMessage } from "@bufbuild/protobuf";
import {
  AnySchema,
  EmptySchema,
  FeatureSetSchema,
  FieldMaskSchema,
  ListValueSchema,
  StringValueSchema,
  StructSchema,
  TimestampSchema,
  UninterpretedOption_NamePartSchema,
  ValueSchema,
} from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { GetProductResponseSchema } from "../../gen/shop/product/v1/product_service_pb.ts";
import { everyField } from "../testing/every-field.ts";
import { isPlain } from "./plain-type.ts";

test.each<[string, DescMessage]>([
  ["no field at all", EmptySchema],
  ["texts and numbers", TimestampSchema],
  ["a list", FieldMaskSchema],
  ["bytes", AnySchema],
  ["the value within a wrapper", StringValueSchema],
  ["messages within messages", GetProductResponseSchema],
  ["itself", everyField],
])("a type with %s is plain", (_, schema) => {
  expect(isPlain(schema)).toBe(true);
});

test.each<[string, DescMessage]>([
  ["a map", ErrorInfoSchema],
  ["required fields", UninterpretedOption_NamePartSchema],
  ["a map of values that hold it", StructSchema],
  ["something rare deep within", ValueSchema],
  ["a list of such", ListValueSchema],
  ["closed enums", FeatureSetSchema],
])("a type with %s is not", (_, schema) => {
  expect(isPlain(schema)).toBe(false);
});
