import { encodeHuffman } from "./encode-huffman.ts";
import type { FuzzRandom } from "./fuzz-random.ts";
import { fieldBytes, type HeaderField } from "./header-field.ts";
import { writeInteger } from "./integer.ts";
import { STATIC_COUNT, STATIC_FIELDS } from "./static-table.ts";

/** A header block and what it says. */
export interface FuzzBlock {
  readonly octets: Buffer;
  readonly fields: readonly HeaderField[];
}

const MAX_TABLE_BYTES = 4_096;

/**
 * A peer that writes by chance all that RFC 7541 allows: each representation, with texts plain or in Huffman code, names
 * by index or not, and size updates. Its table is as simple as can be, so that it is plainly right.
 */
export class FuzzPeer {
  readonly #random: FuzzRandom;
  #table: HeaderField[] = [];
  #maxBytes = MAX_TABLE_BYTES;

  constructor(random: FuzzRandom) {
    this.#random = random;
  }

  /** The fields of the dynamic table, the newest first. */
  get table(): readonly HeaderField[] {
    return this.#table;
  }

  block(): FuzzBlock {
    const parts: Buffer[] = [];
    const fields: HeaderField[] = [];
    if (this.#random.oneIn(10)) parts.push(this.#sizeUpdate());
    if (this.#random.oneIn(20)) parts.push(this.#sizeUpdate());
    for (let count = this.#random.below(12); count > 0; count--) {
      const { octets, field } = this.#field();
      parts.push(octets);
      fields.push(field);
    }
    return { octets: Buffer.concat(parts), fields };
  }

  #sizeUpdate(): Buffer {
    this.#maxBytes = this.#random.oneIn(3) ? MAX_TABLE_BYTES : this.#random.below(MAX_TABLE_BYTES + 1);
    this.#evict();
    return integer(0x20, 0x1f, this.#maxBytes);
  }

  #field(): { octets: Buffer; field: HeaderField } {
    const index = this.#random.below(STATIC_COUNT + this.#table.length) + 1;
    const known = index <= STATIC_COUNT ? STATIC_FIELDS[index - 1] : this.#table[index - STATIC_COUNT - 1];
    const { name, value } = known ?? { name: "", value: "" };
    if (this.#random.oneIn(2)) return { octets: integer(0x80, 0x7f, index), field: { name, value } };

    const literal = { name: this.#random.oneIn(2) ? name : this.#text(), value: this.#text() };
    const write = (pattern: number, prefix: number) =>
      literal.name === name
        ? Buffer.concat([integer(pattern, prefix, index), this.#string(literal.value)])
        : Buffer.concat([Buffer.from([pattern]), this.#string(literal.name), this.#string(literal.value)]);
    switch (this.#random.below(4)) {
      case 0:
        return { octets: write(0x00, 0xf), field: literal };
      case 1:
        return { octets: write(0x10, 0xf), field: { ...literal, indexing: "never" } };
      default: {
        const octets = write(0x40, 0x3f);
        this.#table.unshift(literal);
        this.#evict();
        return { octets, field: literal };
      }
    }
  }

  #evict(): void {
    while (this.#table.reduce((bytes, each) => bytes + fieldBytes(each), 0) > this.#maxBytes)
      this.#table.pop();
  }

  #text(): string {
    const length = this.#random.oneIn(30) ? this.#random.below(5_000) : this.#random.below(40);
    const octets = this.#random.octets(length);
    // What is no ASCII has long codes.
    return (this.#random.oneIn(4) ? octets : octets.map((octet) => 32 + (octet % 95))).toString("latin1");
  }

  #string(text: string): Buffer {
    const isHuffman = this.#random.oneIn(2);
    const octets = isHuffman ? encodeHuffman(text) : Buffer.from(text, "latin1");
    return Buffer.concat([integer(isHuffman ? 0x80 : 0, 0x7f, octets.length), octets]);
  }
}

function integer(pattern: number, prefix: number, value: number): Buffer {
  const out = Buffer.alloc(8);
  return out.subarray(0, writeInteger(out, 0, pattern, prefix, value));
}
