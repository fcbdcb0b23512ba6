import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, StructSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { expect, test } from "vitest";
import { everyField, someMessage } from "../testing/every-field.ts";
import { messageReader } from "./message-reader.ts";

const read = messageReader(everyField);

/** What comes of some bytes: a message, or an error. */
function outcome(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return { error: String(error) };
  }
}

/** Says that they are read as protobuf-es reads them, wherever they stand. */
function expectAlike(bytes: Uint8Array): void {
  const chunk = Buffer.concat([Buffer.from([0xff]), bytes, Buffer.from([1])]);
  for (const view of [bytes, chunk.subarray(1, -1)]) {
    const expected = outcome(() => fromBinary(everyField, view));
    expect(outcome(() => read(view))).toStrictEqual(expected);
  }
}

test("whatever the message, it is what protobuf-es reads", () => {
  fc.assert(
    fc.property(someMessage, (message) => expectAlike(toBinary(everyField, message))),
    { numRuns: 3_000 },
  );
});

test("messages one behind the other are one message, merged as protobuf-es does", () => {
  fc.assert(
    fc.property(fc.array(someMessage, { maxLength: 3 }), (messages) =>
      expectAlike(Buffer.concat(messages.map((message) => toBinary(everyField, message)))),
    ),
    { numRuns: 1_000 },
  );
});

test("what is cut, changed or no message at all is what it is for protobuf-es, the error too", () => {
  const change = fc.record({ at: fc.nat(), byte: fc.nat(255), cut: fc.boolean() });
  fc.assert(
    fc.property(someMessage, change, (message, { at, byte, cut }) => {
      const bytes = toBinary(everyField, message);
      if (bytes.length === 0) return;
      const where = at % bytes.length;
      bytes[where] = byte;
      expectAlike(cut ? bytes.slice(0, where) : bytes);
    }),
    { numRuns: 5_000 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 30 }), expectAlike), { numRuns: 5_000 });
});

test.each<[string, number[]]>([
  ["a field that the type has not", [0xfa, 0x7f, 1, 7]],
  ["a number in more bytes than it needs", [0x18, 0x81, 0x80, 0x80, 0x80, 0x80, 0x00]],
  ["a number of eleven bytes", [0x18, ...Array(10).fill(0x80), 1]],
  ["the number of a field in more bytes than it needs", [0x98, 0x80, 0x00, 1]],
  ["a length beyond the end", [0x4a, 5, 65]],
  ["text that is no UTF-8", [0x4a, 2, 0xc3, 0x28]],
  ["the end of a group", [0x0c]],
])("%s", (_, octets) => expectAlike(Uint8Array.from(octets)));

test("messages within messages, deeper than they may be", () => {
  const nested = (depth: number): Uint8Array => {
    let bytes: Uint8Array = new Uint8Array(0);
    const { number } = everyField.field.plainMessage ?? { number: 0 };
    for (let i = 0; i < depth; i++) {
      const head = number < 16 ? [(number << 3) | 2] : [((number << 3) & 0x7f) | 0x82, number >> 4];
      const length = bytes.length < 128 ? [bytes.length] : [(bytes.length & 0x7f) | 0x80, bytes.length >> 7];
      bytes = Buffer.concat([Buffer.from([...head, ...length]), bytes]);
    }
    return bytes;
  };
  for (const depth of [1, 49, 50, 51, 99, 100, 101]) expectAlike(nested(depth));
});

test("what is rare is read by protobuf-es", () => {
  const file = create(FileDescriptorProtoSchema, { name: "a", dependency: ["b"] });
  const bytes = toBinary(FileDescriptorProtoSchema, file);
  expect(messageReader(FileDescriptorProtoSchema)(bytes)).toEqual(file);
  const struct = create(StructSchema, { fields: { a: { kind: { case: "numberValue", value: 1 } } } });
  expect(messageReader(StructSchema)(toBinary(StructSchema, struct))).toEqual(struct);
});
