import type { TableContent } from "./dynamic-table.ts";
import { EncoderTable, type NamePlaces } from "./encoder-table.ts";
import { fieldBytes, type HeaderField, type Indexing } from "./header-field.ts";
import { MOST_INTEGER_OCTETS, writeInteger } from "./integer.ts";

/** The most that the table uses of what the peer offers, and what it starts with, in bytes. */
const MOST_TABLE_BYTES = 4_096;

/** An entry that would take up more than this part of the table is not worth what it drives out. */
const LARGEST_PART = 1 / 4;

const MOST_SIZE_UPDATES_BYTES = 2 * MOST_INTEGER_OCTETS;

/** The header blocks of one direction of a connection, which must leave in the order in which they were encoded. */
export class HpackEncoder {
  readonly #table = new EncoderTable(MOST_TABLE_BYTES);
  /** The table's bytes that the peer knows of, and the fewest that it had since the peer was told. */
  #toldBytes = MOST_TABLE_BYTES;
  #fewestBytes = MOST_TABLE_BYTES;
  #version = 0;

  /** Changes with the table and with what the peer knows of it: for one version, the same fields are the same octets. */
  get version(): number {
    return this.#version;
  }

  /** What the peer was made to remember. */
  table(): TableContent {
    return this.#table.content();
  }

  /**
   * The peer's SETTINGS_HEADER_TABLE_SIZE, of which 4096 bytes are used at most. The next block begins by telling the
   * peer what has changed, including the smallest size in between (RFC 7541, section 4.2).
   */
  setMaxTableBytes(bytes: number): void {
    const maxBytes = Math.min(bytes, MOST_TABLE_BYTES);
    if (maxBytes === this.#table.maxBytes) return;
    this.#resize(maxBytes);
  }

  /** The most that {@link encode} writes for these fields, in bytes. */
  bound(fields: readonly HeaderField[]): number {
    let bytes = MOST_SIZE_UPDATES_BYTES;
    for (const { name, value } of fields) {
      bytes += 1 + 2 * MOST_INTEGER_OCTETS + name.length + value.length;
    }
    return bytes;
  }

  /**
   * Writes the fields as one block, or as the next part of one, and returns the offset after it. Throws a
   * {@link RangeError} if a field has a character above U+00FF, or if `out` is too short; what was written then must not
   * be sent, and the next block starts afresh.
   */
  encode(fields: readonly HeaderField[], out: Buffer, offset: number): number {
    let at = offset;
    if (this.#fewestBytes < this.#toldBytes || this.#table.maxBytes !== this.#toldBytes) {
      at = this.#writeSizeUpdates(out, at);
    }
    for (const field of fields) at = this.#writeField(field, out, at);
    if (at > out.length) this.#fail(`a header block of ${at - offset} bytes is longer than its buffer`);
    return at;
  }

  #writeSizeUpdates(out: Buffer, offset: number): number {
    const { maxBytes } = this.#table;
    let at = offset;
    if (this.#fewestBytes < Math.min(this.#toldBytes, maxBytes)) {
      at = writeInteger(out, at, 0x20, 0x1f, this.#fewestBytes);
    }
    at = writeInteger(out, at, 0x20, 0x1f, maxBytes);
    this.#toldBytes = this.#fewestBytes = maxBytes;
    this.#version++;
    return at;
  }

  #writeField(field: HeaderField, out: Buffer, at: number): number {
    const name = this.#table.places(field.name);
    const indexing = field.indexing ?? name.indexing;
    if (indexing === "never")
      return this.#writeLiteral(field, 0x10, 0xf, this.#table.indexOfName(name), out, at);
    const index = this.#table.indexOf(name, field.value);
    if (index > 0) return writeInteger(out, at, 0x80, 0x7f, index);
    const nameIndex = this.#table.indexOfName(name);
    if (!this.#isWorthInserting(field, name, indexing)) {
      return this.#writeLiteral(field, 0x00, 0xf, nameIndex, out, at);
    }
    const after = this.#writeLiteral(field, 0x40, 0x3f, nameIndex, out, at);
    this.#table.insert(field);
    this.#version++;
    return after;
  }

  #isWorthInserting(field: HeaderField, name: NamePlaces, indexing: Indexing): boolean {
    if (fieldBytes(field) > this.#table.maxBytes * LARGEST_PART) return false;
    if (field.indexing !== undefined) return indexing === "index";
    // What changes from call to call is inserted once, for its name's sake, which is an index from then on.
    if (this.#table.indexOfName(name) === 0) return true;
    return indexing === "index" && this.#table.mayComeAgain(name);
  }

  #writeLiteral(
    { name, value }: HeaderField,
    pattern: number,
    prefix: number,
    nameIndex: number,
    out: Buffer,
    offset: number,
  ): number {
    const at = writeInteger(out, offset, pattern, prefix, nameIndex);
    return this.#writeText(value, out, nameIndex > 0 ? at : this.#writeText(name, out, at));
  }

  #writeText(text: string, out: Buffer, offset: number): number {
    const { length } = text;
    let at = writeInteger(out, offset, 0x00, 0x7f, length);
    if (length > SHORT_TEXT) {
      if (WIDE.test(text)) this.#fail("a header has a character above U+00FF");
      out.write(text, at, "latin1");
      return at + length;
    }
    let bits = 0;
    for (let i = 0; i < length; i++) {
      const char = text.charCodeAt(i);
      bits |= char;
      out[at++] = char;
    }
    if (bits > 0xff) this.#fail("a header has a character above U+00FF");
    return at;
  }

  /** The peer will not see this block, so what it inserted is not to be used: both tables are emptied. */
  #fail(message: string): never {
    const { maxBytes } = this.#table;
    this.#resize(0);
    this.#resize(maxBytes);
    throw new RangeError(message);
  }

  #resize(maxBytes: number): void {
    this.#table.resize(maxBytes);
    this.#fewestBytes = Math.min(this.#fewestBytes, maxBytes);
    this.#version++;
  }
}

/** Writing characters one by one is quicker up to here than a call out of JavaScript. */
const SHORT_TEXT = 16;
const WIDE = /[\u0100-\uffff]/;
