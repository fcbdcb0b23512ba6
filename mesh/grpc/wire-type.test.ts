import type { DescField } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { everyField } from "../testing/every-field.ts";
import { tagOf, wireTypeOf } from "./wire-type.ts";

const field = (name: string) => everyField.field[name] as DescField;

test.each([
  ["plainString", 2],
  ["plainBytes", 2],
  ["plainMessage", 2],
  ["plainDouble", 1],
  ["plainSfixed64", 1],
  ["plainFloat", 5],
  ["plainFixed32", 5],
  ["plainEnum", 0],
  ["plainBool", 0],
  ["plainSint64", 0],
])("%s is of the wire type %d", (name, wireType) => {
  expect(wireTypeOf(field(name))).toBe(wireType);
  expect(tagOf(field(name))).toBe(field(name).number * 8 + wireType);
});

test("a list may stand there as a whole", () => {
  expect(tagOf(field("packedBool"), 2)).toBe(field("packedBool").number * 8 + 2);
});
