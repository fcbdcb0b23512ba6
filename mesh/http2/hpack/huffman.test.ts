import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeHuffman } from "./encode-huffman.ts";
import { HpackError } from "./hpack-error.ts";
import { decodeHuffman } from "./huffman.ts";

const decode = (hex: string) => {
  const octets = Buffer.from(hex, "hex");
  return decodeHuffman(octets, 0, octets.length);
};

test.each([
  ["f1e3c2e5f23a6ba0ab90f4ff", "www.example.com"],
  ["a8eb10649cbf", "no-cache"],
  ["25a849e95ba97d7f", "custom-key"],
  ["6402", "302"],
  ["d07abe941054d444a8200595040b8166e082a62d1bff", "Mon, 21 Oct 2013 20:13:21 GMT"],
  ["", ""],
])("%s is %j (RFC 7541, appendix C)", (hex, text) => {
  expect(decode(hex)).toBe(text);
  expect(encodeHuffman(text).toString("hex")).toBe(hex);
});

test("each octet, and any text, comes back as it was", () => {
  for (let octet = 0; octet < 256; octet++) {
    const text = String.fromCharCode(octet);
    const octets = encodeHuffman(text);
    expect(decodeHuffman(octets, 0, octets.length)).toBe(text);
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(5), (octets, start) => {
      const text = Buffer.from(octets).toString("latin1");
      const encoded = Buffer.concat([Buffer.alloc(start), encodeHuffman(text), Buffer.of(0xff, 0)]);
      expect(decodeHuffman(encoded, start, encoded.length - 2)).toBe(text);
    }),
  );
});

test("a text longer than what is set aside comes back too", () => {
  const text = "0123456789".repeat(5_000);
  const octets = encodeHuffman(text);
  expect(octets.length).toBeLessThan(text.length);
  expect(decodeHuffman(octets, 0, octets.length)).toBe(text);
});

test.each([
  ["a whole octet of padding", "a8eb10649cbfff"],
  ["padding of an octet alone", "ff"],
  ["padding with a zero", "a8eb10649cbe"],
  ["padding of zeros", "00"],
  ["a code that is cut off", "fffffe"],
])("%s is an error (RFC 7541, section 5.2)", (_, hex) => {
  expect(() => decode(hex)).toThrow(new HpackError("a Huffman-coded text is padded wrongly"));
});

test.each([
  ["alone", "ffffffff"],
  ["after a symbol", "1fffffffff"],
  ["and then a text", "ffffffffa8eb10649cbf"],
])("the end-of-string symbol is an error, %s (RFC 7541, section 5.2)", (_, hex) => {
  expect(() => decode(hex)).toThrow(new HpackError("a Huffman-coded text has the end-of-string symbol"));
});
