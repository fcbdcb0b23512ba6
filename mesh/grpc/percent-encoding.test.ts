import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeMessage, encodeMessage } from "./percent-encoding.ts";

test.each([
  ["", ""],
  ["there is none", "there is none"],
  ["#$&+,/:;=?@[]~!", "#$&+,/:;=?@[]~!"],
  ["100%", "100%25"],
  ["größer", "gr%C3%B6%C3%9Fer"],
  ["\na\r\n☺\t😈\x7f", "%0Aa%0D%0A%E2%98%BA%09%F0%9F%98%88%7F"],
  [" a b ", "%20a b%20"],
  [" ", "%20"],
  ["\ufeffa", "%EF%BB%BFa"],
])("%j is written %s, and read as it was", (text, encoded) => {
  expect(encodeMessage(text)).toBe(encoded);
  expect(decodeMessage(encoded)).toBe(text);
});

test("half a surrogate pair is written as the replacement character", () => {
  expect(encodeMessage("a\ud800")).toBe("a%EF%BF%BD");
});

test.each([
  ["%", "%"],
  ["100%", "100%"],
  ["%4", "%4"],
  ["%zz%41", "%zzA"],
  ["%4%41", "%4A"],
  ["%%41", "%A"],
  ["%c3%b6", "ö"],
  ["a%ffb", "a\ufffdb"],
  ["%00", "\0"],
  // Written as UTF-8 by a peer that does not encode: its bytes arrive one character each.
  ["gr\xc3\xb6\xc3\x9fer", "größer"],
  ["größer ☺%21", "größer ☺!"],
])("%j is read as %j", (value, text) => {
  expect(decodeMessage(value)).toBe(text);
});

test("any text arrives, in characters that a header may have", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 40 }), (text) => {
      const encoded = encodeMessage(text);
      expect(encoded).toMatch(/^([\x21-\x24\x26-\x7e]|%[0-9A-F]{2}|(?<=.) (?=.))*$/);
      expect(decodeMessage(encoded)).toBe(text);
      expect(decodeURIComponent(encoded)).toBe(text);
    }),
    { numRuns: 1_000 },
  );
});

test("what is no encoding of anything is read without an error", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("%", "4", "F", "g", "\xff", "€") }), (value) => {
      expect(typeof decodeMessage(value)).toBe("string");
    }),
  );
});
