import { HpackError } from "./hpack-error.ts";
import { END_OF_STRING, HUFFMAN_CODES } from "./huffman-code.ts";

// The decoder is a machine that reads four bits at a time. Its states are the inner nodes of the code's tree, 0 being the
// root; a code has at least five bits, so that a step ends one symbol at most. TRANSITIONS holds, for each state and four
// bits, the next state in its low octet, then the symbol if one ends, and these marks.
const HAS_SYMBOL = 0x1_0000;
const IS_INVALID = 0x2_0000;

const CAN_END = new Uint8Array(256);
const TRANSITIONS = new Uint32Array(256 * 16);
build();

/** A symbol's shortest code has five bits. */
const MOST_SYMBOLS_PER_OCTET = 8 / 5;

const SCRATCH = Buffer.allocUnsafe(8_192);

/** The text that the octets from start to end encode, one character per octet. Throws an {@link HpackError}. */
export function decodeHuffman(octets: Uint8Array, start: number, end: number): string {
  const most = Math.ceil((end - start) * MOST_SYMBOLS_PER_OCTET);
  const text = most <= SCRATCH.length ? SCRATCH : Buffer.allocUnsafe(most);
  let length = 0;
  let state = 0;
  for (let at = start; at < end; at++) {
    const octet = octets[at] ?? 0;
    const half = TRANSITIONS[(state << 4) | (octet >> 4)] ?? IS_INVALID;
    if (half & HAS_SYMBOL) text[length++] = half >> 8;
    const whole = TRANSITIONS[((half & 0xff) << 4) | (octet & 0xf)] ?? IS_INVALID;
    if (whole & HAS_SYMBOL) text[length++] = whole >> 8;
    if ((half | whole) & IS_INVALID)
      throw new HpackError("a Huffman-coded text has the end-of-string symbol");
    state = whole & 0xff;
  }
  if (!CAN_END[state]) throw new HpackError("a Huffman-coded text is padded wrongly");
  return text.toString("latin1", 0, length);
}

/** A node's children by bit: the number of an inner node, or -1 - the symbol of a leaf. */
type Tree = [zero: number, one: number][];

function build(): void {
  const tree = treeOf();
  for (let state = 0; state < tree.length; state++) {
    for (let bits = 0; bits < 16; bits++) TRANSITIONS[(state << 4) | bits] = transition(tree, state, bits);
  }
  // Padding is the beginning of the end-of-string symbol, all ones, and shorter than an octet (RFC 7541, section 5.2).
  for (let state = 0, bits = 0; bits < 8; bits++) {
    CAN_END[state] = 1;
    state = tree[state]?.[1] ?? 0;
  }
}

function treeOf(): Tree {
  const tree: Tree = [[0, 0]];
  for (const { symbol, code, bits } of HUFFMAN_CODES) {
    let node: Tree[number] = tree[0] ?? [0, 0];
    for (let left = bits - 1; left > 0; left--) {
      const bit = (code >> left) & 1;
      // The root is nobody's child, so that 0 means that there is none yet.
      if (node[bit] === 0) node[bit] = tree.push([0, 0]) - 1;
      node = tree[node[bit] as number] ?? node;
    }
    node[code & 1] = -1 - symbol;
  }
  return tree;
}

function transition(tree: Tree, from: number, bits: number): number {
  let state = from;
  let ended = 0;
  for (let left = 3; left >= 0; left--) {
    const next = tree[state]?.[(bits >> left) & 1] ?? 0;
    const symbol = -1 - next;
    if (symbol === END_OF_STRING) return IS_INVALID;
    if (symbol >= 0) ended = HAS_SYMBOL | (symbol << 8);
    state = Math.max(0, next);
  }
  return ended | state;
}
