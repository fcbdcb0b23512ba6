import { END_OF_STRING, HUFFMAN_CODES } from "./huffman-code.ts";

const CODES = HUFFMAN_CODES.toSorted((a, b) => a.symbol - b.symbol);

/**
 * The octets of a latin1 text (RFC 7541, section 5.2), as peers may write it. Our encoder does not: what it saves is
 * little beside what tables save, and costs more time than anything else in a block.
 */
export function encodeHuffman(text: string): Buffer {
  const octets: number[] = [];
  let octet = 0;
  let free = 8;
  const write = (symbol: number) => {
    const { code, bits } = CODES[symbol] ?? { code: 0, bits: 0 };
    for (let left = bits - 1; left >= 0; left--) {
      octet = (octet << 1) | ((code >> left) & 1);
      if (--free > 0) continue;
      octets.push(octet);
      octet = 0;
      free = 8;
    }
  };
  for (let at = 0; at < text.length; at++) write(text.charCodeAt(at));
  // The padding is as much of this symbol as fills the last octet.
  const length = octets.length + (free < 8 ? 1 : 0);
  write(END_OF_STRING);
  return Buffer.from(octets.slice(0, length));
}
