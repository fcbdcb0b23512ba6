/** The symbol that ends a text before its octets do; it may not appear in one (RFC 7541, section 5.2). */
export const END_OF_STRING = 256;

/** The bits of each symbol's code, {@link END_OF_STRING} last (RFC 7541, appendix B). */
const CODE_BITS = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28,
  28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7,
  8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19,
  13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13,
  28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21,
  22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23,
  22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25,
  25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

/** How one symbol is written: the last `bits` bits of `code`. */
export interface HuffmanCode {
  readonly symbol: number;
  readonly code: number;
  readonly bits: number;
}

/**
 * All codes, in the order of their bits. The code is canonical: each is the one before it plus one, with zeros behind
 * if it is longer, so that the lengths say everything.
 */
export const HUFFMAN_CODES: readonly HuffmanCode[] = canonical(CODE_BITS);

function canonical(codeBits: readonly number[]): HuffmanCode[] {
  let code = -1;
  let last = 0;
  const symbols = codeBits.map((bits, symbol) => ({ symbol, bits }));
  return symbols
    .sort((a, b) => a.bits - b.bits || a.symbol - b.symbol)
    .map(({ symbol, bits }) => {
      code = (code + 1) << (bits - last);
      last = bits;
      return { symbol, code, bits };
    });
}
