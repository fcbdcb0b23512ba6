import fc from "fast-check";
import { expect, test } from "vitest";
import { HpackError } from "./hpack-error.ts";
import { MOST_INTEGER_OCTETS, writeInteger } from "./integer.ts";
import { OctetReader } from "./octet-reader.ts";

function reading(...octets: number[]): OctetReader {
  const reader = new OctetReader();
  // What lies beyond the block would make each integer longer, and each text whole.
  const all = Buffer.from([...octets, 0x80, 0x80, 0x00, 0x61, 0x61, 0x61]);
  reader.open(all, 0, octets.length);
  return reader;
}

test.each([
  [10, 0x1f, [0x0a]],
  [1337, 0x1f, [0x1f, 0x9a, 0x0a]],
  [42, 0xff, [0x2a]],
  [0x7f, 0x7f, [0x7f, 0x00]],
  [0xfe, 0x7f, [0x7f, 0x7f]],
  [0xff, 0x7f, [0x7f, 0x80, 0x01]],
  [2 ** 31 - 1, 0x0f, [0x0f, 0xf0, 0xff, 0xff, 0xff, 0x07]],
])("%d with the prefix %d is %j (RFC 7541, section 5.1)", (value, prefix, octets) => {
  const out = Buffer.alloc(MOST_INTEGER_OCTETS);
  expect(writeInteger(out, 0, 0, prefix, value)).toBe(octets.length);
  expect([...out.subarray(0, octets.length)]).toEqual(octets);
  const reader = reading(...octets);
  expect(reader.integer(prefix)).toBe(value);
  expect(reader.isAtEnd).toBe(true);
});

test("what is written is read, whatever is in the bits before it", () => {
  const prefixes = fc.constantFrom(0x0f, 0x1f, 0x3f, 0x7f);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 31 - 1 }), prefixes, fc.nat(255), (value, prefix, pattern) => {
      const out = Buffer.alloc(MOST_INTEGER_OCTETS);
      const end = writeInteger(out, 0, pattern & ~prefix, prefix, value);
      expect((out[0] ?? 0) & ~prefix).toBe(pattern & ~prefix);
      const reader = reading(...out.subarray(0, end));
      expect(reader.integer(prefix)).toBe(value);
      expect(reader.at).toBe(end);
    }),
  );
});

test.each([
  ["2^31", [0x7f, 0x81, 0xff, 0xff, 0xff, 0x07]],
  ["2^35", [0x7f, 0xff, 0xff, 0xff, 0xff, 0x7f]],
  ["one of more octets than it needs", [0x7f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]],
])("an integer may not be %s", (_, octets) => {
  expect(() => reading(...octets).integer(0x7f)).toThrow(new HpackError("an integer is too large"));
});

test("zeros in front of an integer's highest bits are allowed, as the RFC does not forbid them", () => {
  expect(reading(0x7f, 0x81, 0x80, 0x00).integer(0x7f)).toBe(0x80);
});

test.each([
  [[], "the block ends where an integer should begin"],
  [[0x7f], "the block ends inside an integer"],
  [[0x7f, 0x80], "the block ends inside an integer"],
])("an integer of %j alone is cut off", (octets, message) => {
  expect(() => reading(...octets).integer(0x7f)).toThrow(new HpackError(message));
});

test.each([0, 1, 6, 7, 126, 127, 128, 300])(
  "a text of %d octets is read whole, each as a character",
  (length) => {
    const octets = Array.from({ length }, (_, n) => (n * 37) & 0xff);
    const prefix = Buffer.alloc(MOST_INTEGER_OCTETS);
    const end = writeInteger(prefix, 0, 0, 0x7f, length);
    const reader = reading(...prefix.subarray(0, end), ...octets);
    expect(reader.text()).toBe(Buffer.from(octets).toString("latin1"));
    expect(reader.isAtEnd).toBe(true);
  },
);

test.each([[[0x03, 0x61, 0x61]], [[0x83, 0xa8, 0xeb]], [[0x7f, 0xff, 0xff, 0xff, 0x07]]])(
  "a text of %j is cut off",
  (octets) => {
    expect(() => reading(...octets).text()).toThrow(new HpackError("the block ends inside a text"));
  },
);
