import { create, type Message, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, StructSchema, TimestampSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { expect, test } from "vitest";
import { everyField, someMessage } from "../testing/every-field.ts";
import { messageWriter } from "./message-writer.ts";

const write = messageWriter(everyField);

test("whatever the message, its bytes are those that protobuf-es writes", () => {
  fc.assert(
    fc.property(someMessage, (message) => {
      expect(write(message)).toEqual(toBinary(everyField, message));
    }),
    { numRuns: 3_000 },
  );
});

test("fields that the type has not are written behind the others", () => {
  const message = create(everyField, { plainString: "a" });
  message.$unknown = [{ no: 99_999, wireType: 2, data: Uint8Array.of(1, 7) }];
  expect(write(message)).toEqual(toBinary(everyField, message));
  expect(write(message).length).toBeGreaterThan(5);
});

test.each<[string, object]>([
  ["a number that is no int32", { plainInt32: 1.5 }],
  ["a text that is a number", { plainUint64: -1n }],
  ["nothing where a value must be", { plainInt32: null }],
  ["a message of another type", { plainMessage: create(TimestampSchema) }],
])("%s has the error of protobuf-es, and the next message is as it should be", (_, fields) => {
  const bad = { ...create(everyField), ...fields } as Message;
  const error = thrown(() => toBinary(everyField, bad));
  expect(error).toMatch(/^\w*Error: /);
  expect(thrown(() => write(bad))).toBe(error);
  const good = create(everyField, { plainString: "good" });
  expect(write(good)).toEqual(toBinary(everyField, good));
});

test("a message is the writer's own, also when the next is written, and after a large one", () => {
  const small = create(everyField, { plainString: "small" });
  const first = write(small);
  const large = create(everyField, { plainString: "x".repeat(1_000_000) });
  expect(write(large)).toEqual(toBinary(everyField, large));
  expect(first).toEqual(toBinary(everyField, small));
});

test("what a message writes itself while it is written is apart", () => {
  const inner = create(everyField, { plainString: "inner" });
  const outer = create(everyField, { plainBool: true, plainInt32: 7 });
  Object.defineProperty(outer, "plainBytes", { enumerable: true, get: () => write(inner) });
  expect(write(outer)).toEqual(toBinary(everyField, outer));
  Object.defineProperty(outer, "plainString", {
    enumerable: true,
    get() {
      expect(() => write({ ...inner, plainInt32: 1.5 } as Message)).toThrow("invalid int32");
      return "outer";
    },
  });
  expect(write(outer)).toEqual(toBinary(everyField, outer));
});

test("what is rare is written by protobuf-es", () => {
  const file = create(FileDescriptorProtoSchema, { name: "a", dependency: ["b"] });
  expect(messageWriter(FileDescriptorProtoSchema)(file)).toEqual(toBinary(FileDescriptorProtoSchema, file));
  const struct = create(StructSchema, { fields: { a: { kind: { case: "numberValue", value: 1 } } } });
  expect(messageWriter(StructSchema)(struct)).toEqual(toBinary(StructSchema, struct));
});

function thrown(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    return String(error);
  }
  return "";
}
