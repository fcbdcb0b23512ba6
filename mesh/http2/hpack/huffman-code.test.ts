import { expect, test } from "vitest";
import { END_OF_STRING, HUFFMAN_CODES } from "./huffman-code.ts";

test.each([
  ["0".charCodeAt(0), 0x0, 5],
  ["t".charCodeAt(0), 0x9, 5],
  [" ".charCodeAt(0), 0x14, 6],
  ["z".charCodeAt(0), 0x7b, 7],
  ["Z".charCodeAt(0), 0xfd, 8],
  ["?".charCodeAt(0), 0x3fc, 10],
  ["{".charCodeAt(0), 0x7ffe, 15],
  [0, 0x1ff8, 13],
  [92, 0x7fff0, 19],
  [128, 0xfffe6, 20],
  [199, 0x1ffffec, 25],
  [249, 0xffffffe, 28],
  [22, 0x3ffffffe, 30],
  [END_OF_STRING, 0x3fffffff, 30],
])("the symbol %d has the code %d of %d bits (RFC 7541, appendix B)", (symbol, code, bits) => {
  expect(HUFFMAN_CODES.find((each) => each.symbol === symbol)).toEqual({ symbol, code, bits });
});

test("every symbol has one code, and every sequence of bits is the beginning of some", () => {
  expect(new Set(HUFFMAN_CODES.map(({ symbol }) => symbol)).size).toBe(257);
  expect(HUFFMAN_CODES.reduce((sum, { bits }) => sum + 2 ** -bits, 0)).toBe(1);
});
