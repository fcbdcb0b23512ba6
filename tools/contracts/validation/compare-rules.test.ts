import { create, fromJson, type JsonValue } from "@bufbuild/protobuf";
import { FieldRulesSchema } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { describe, expect, test } from "vitest";
import { compareRules } from "./compare-rules.ts";

const rules = (json: JsonValue) => fromJson(FieldRulesSchema, json);
const directions = (was: JsonValue, is: JsonValue) =>
  [...compareRules(rules(was), rules(is))].map((change) => change.is);

describe("a rule that is tighter one way is looser the other", () => {
  test.each<[was: JsonValue, is: JsonValue]>([
    [{}, { required: true }],
    [{}, { string: { minLen: 1 } }],
    [{ string: { minLen: 1 } }, { string: { minLen: 2 } }],
    [{ string: { maxLen: 200 } }, { string: { maxLen: 100 } }],
    [{}, { string: { maxBytes: 1 } }],
    [{}, { string: { email: true } }],
    [{}, { string: { pattern: "^a$" } }],
    [{}, { string: { prefix: "a" } }],
    [{}, { string: { len: 3 } }],
    [{ int32: { gte: 0 } }, { int32: { gt: 0 } }],
    [{ int32: { gte: 0 } }, { int32: { gte: 1 } }],
    [{ int32: { lte: 10 } }, { int32: { lt: 10 } }],
    [{ int64: { lte: "9007199254740993" } }, { int64: { lte: "9007199254740992" } }],
    [{ double: { lte: 1.5 } }, { double: { lte: 1.25 } }],
    [{}, { double: { finite: true } }],
    [{}, { bool: { const: false } }],
    [{}, { int32: { in: [1, 2] } }],
    [{ int32: { in: [1, 2] } }, { int32: { in: [1] } }],
    [{ int32: { notIn: [1] } }, { int32: { notIn: [1, 2] } }],
    [{}, { enum: { definedOnly: true } }],
    [{}, { repeated: { minItems: 1 } }],
    [{ repeated: { maxItems: 5 } }, { repeated: { maxItems: 4 } }],
    [{}, { repeated: { unique: true } }],
    [{ repeated: { items: { string: { maxLen: 5 } } } }, { repeated: { items: { string: { maxLen: 4 } } } }],
    [{}, { map: { keys: { string: { maxLen: 4 } } } }],
    [{ map: { maxPairs: 3 } }, { map: { maxPairs: 2 } }],
    [{ duration: { lte: "30s" } }, { duration: { lte: "29.999s" } }],
    [{ timestamp: { gte: "1970-01-01T00:00:00Z" } }, { timestamp: { gte: "1970-01-01T00:00:01Z" } }],
    [{}, { timestamp: { ltNow: true } }],
    [{}, { cel: [{ id: "a", message: "b", expression: "this > 0" }] }],
    [{}, { celExpression: ["this > 0"] }],
    [{ string: { minLen: 1 }, ignore: "IGNORE_IF_ZERO_VALUE" }, { string: { minLen: 1 } }],
    [{ string: { minLen: 1 }, ignore: "IGNORE_ALWAYS" }, { string: { minLen: 1 } }],
  ])("%j -> %j", (was, is) => {
    expect(directions(was, is)).toEqual(["tighter"]);
    expect(directions(is, was)).toEqual(["looser"]);
    expect(directions(is, is)).toEqual([]);
  });
});

describe("a rule that is another counts as both", () => {
  test.each<[was: JsonValue, is: JsonValue]>([
    [{ string: { len: 3 } }, { string: { len: 4 } }],
    [{ string: { const: "a" } }, { string: { const: "b" } }],
    [{ string: { email: true } }, { string: { uuid: true } }],
    [{ int32: { in: [1] } }, { int32: { in: [2] } }],
    [{ int32: { gt: 10, lt: 5 } }, { int32: { gt: 10, lt: 6 } }],
    [{ int32: { gt: 1 } }, { string: { minLen: 1 } }],
    [{ cel: [{ id: "a", expression: "this > 0" }] }, { cel: [{ id: "a", expression: "this > 1" }] }],
    [{ string: { minLen: 1, maxLen: 5 } }, { string: { minLen: 2, maxLen: 6 } }],
  ])("%j -> %j", (was, is) => {
    expect(directions(was, is).sort()).toEqual(["looser", "tighter"]);
  });
});

describe("what changes nothing is no change", () => {
  test.each<[was: JsonValue, is: JsonValue]>([
    [{ string: { example: ["a"] } }, { string: { example: ["b"] } }],
    [
      { cel: [{ id: "a", message: "x", expression: "this > 0" }] },
      { cel: [{ id: "b", message: "y", expression: "this > 0" }] },
    ],
    [{ int32: { in: [1, 2] } }, { int32: { in: [2, 1] } }],
    [
      { ignore: "IGNORE_ALWAYS", string: { minLen: 1 } },
      { ignore: "IGNORE_ALWAYS", string: { minLen: 9 } },
    ],
    [{ string: {} }, {}],
  ])("%j -> %j", (was, is) => {
    expect(directions(was, is)).toEqual([]);
  });
});

test("no rules are none", () => {
  expect([...compareRules(undefined, undefined)]).toEqual([]);
  expect([...compareRules(undefined, create(FieldRulesSchema, { required: true }))]).toEqual([
    { is: "tighter", what: "required is new" },
  ]);
});

test("a change says what it was and is", () => {
  const said = [...compareRules(rules({ int32: { gte: 0, lte: 9 } }), rules({ int32: { gt: 0, lte: 5 } }))];
  expect(said.map(({ what }) => what)).toEqual(["gt is 0, was gte 0", "lte is 5, was 9"]);
});
