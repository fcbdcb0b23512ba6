import { HpackError } from "./hpack-error.ts";
import { decodeHuffman } from "./huffman.ts";

/** Appending characters is quicker up to here than a call out of JavaScript. */
const SHORT_TEXT_OCTETS = 6;

const MOST_INTEGER = 2 ** 31 - 1;
const EMPTY: Buffer = Buffer.alloc(0);

/** Reads what a header block is made of, from where it is: integers and texts (RFC 7541, section 5). */
export class OctetReader {
  #octets = EMPTY;
  #end = 0;
  /** The offset of the octet that is read next. */
  at = 0;

  /** Goes to a block: the octets from start up to, and without, end. */
  open(octets: Buffer, start: number, end: number): void {
    this.#octets = octets;
    this.at = start;
    this.#end = end;
  }

  /** Lets go of the block, which may be a part of much more. */
  close(): void {
    this.#octets = EMPTY;
  }

  get isAtEnd(): boolean {
    return this.at >= this.#end;
  }

  /** The octet that is read next; it stays so. */
  peek(): number {
    return this.#octets[this.at] ?? 0;
  }

  /** An integer whose first octet has these bits free, all ones. Throws an {@link HpackError} above 2^31 - 1. */
  integer(prefix: number): number {
    if (this.at >= this.#end) throw new HpackError("the block ends where an integer should begin");
    const value = (this.#octets[this.at++] ?? 0) & prefix;
    return value < prefix ? value : this.#longInteger(value);
  }

  #longInteger(prefix: number): number {
    let value = prefix;
    // Five octets hold more than is allowed; without a bound, zeros could follow without end.
    for (let shift = 0; shift <= 28; shift += 7) {
      if (this.at >= this.#end) throw new HpackError("the block ends inside an integer");
      const octet = this.#octets[this.at++] ?? 0;
      value += (octet & 0x7f) * 2 ** shift;
      if (octet < 0x80) {
        if (value > MOST_INTEGER) break;
        return value;
      }
    }
    throw new HpackError("an integer is too large");
  }

  /** A text, one character per octet (RFC 7541, section 5.2). */
  text(): string {
    const isHuffman = (this.#octets[this.at] ?? 0) >= 0x80;
    const length = this.integer(0x7f);
    const start = this.at;
    const end = start + length;
    if (end > this.#end) throw new HpackError("the block ends inside a text");
    this.at = end;
    if (isHuffman) return decodeHuffman(this.#octets, start, end);
    if (length > SHORT_TEXT_OCTETS) return this.#octets.toString("latin1", start, end);
    let text = "";
    for (let at = start; at < end; at++) text += String.fromCharCode(this.#octets[at] ?? 0);
    return text;
  }
}
