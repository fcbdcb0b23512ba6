import { BlockMemo } from "./block-memo.ts";
import { DynamicTable, type TableContent } from "./dynamic-table.ts";
import { fieldBytes, type HeaderField } from "./header-field.ts";
import { HpackError } from "./hpack-error.ts";
import { isLegal } from "./legal-field.ts";
import { OctetReader } from "./octet-reader.ts";
import { STATIC_COUNT, STATIC_FIELDS } from "./static-table.ts";

/** What an {@link HpackDecoder} allows its peer. */
export interface HpackDecoderOptions {
  /** Bytes of the table as we announce them in SETTINGS_HEADER_TABLE_SIZE. Defaults to 4096, as does the setting. */
  readonly maxTableBytes?: number;
  /** Bytes of a header list (RFC 9113, section 6.5.2: SETTINGS_MAX_HEADER_LIST_SIZE). Defaults to 32768. */
  readonly maxListBytes?: number;
}

/** What a table has until a setting says otherwise, in bytes (RFC 9113, section 6.5.2). */
const INITIAL_TABLE_BYTES = 4_096;

/** The header blocks of one direction of a connection, which only make sense one after the other, all of them. */
export class HpackDecoder {
  /** True if the last list was larger than `maxListBytes`. */
  tooLarge = false;
  readonly #announcedBytes: number;
  readonly #maxListBytes: number;
  readonly #reader = new OctetReader();
  readonly #table = new DynamicTable(INITIAL_TABLE_BYTES);
  /** What a size update may ask for. */
  #allowedBytes: number;
  #hasFailed = false;
  readonly #memo = new BlockMemo();
  /** Another one whenever a block might mean something else than before. */
  #version = 0;

  constructor({ maxTableBytes = INITIAL_TABLE_BYTES, maxListBytes = 32_768 }: HpackDecoderOptions = {}) {
    this.#announcedBytes = maxTableBytes;
    this.#maxListBytes = maxListBytes;
    // The peer has not read our settings yet, and may use what it has by default.
    this.#allowedBytes = Math.max(INITIAL_TABLE_BYTES, maxTableBytes);
  }

  /** What the peer made us remember. */
  table(): TableContent {
    return this.#table.content();
  }

  /**
   * The peer has acknowledged the settings with `maxTableBytes`. If its table is larger than that, its next block must
   * begin by making it smaller (RFC 9113, section 4.3.1).
   */
  settingsAcknowledged(): void {
    this.#allowedBytes = this.#announcedBytes;
    this.#version++;
  }

  /**
   * The fields of one whole header block, which are the octets from start up to, and without, end. A field that is in a
   * table is the very object that is there. Of a list larger than `maxListBytes` only the beginning that fits is kept;
   * the rest is read for the table's sake. Throws an {@link HpackError} for what RFC 7541 calls a decoding error, and
   * for every block after one.
   */
  decode(block: Buffer, start: number, end: number): readonly HeaderField[] {
    if (this.#hasFailed) throw new HpackError("a block before this one could not be decoded");
    const version = this.#version;
    const known = this.#memo.find(block, start, end, version);
    if (known) {
      this.tooLarge = false;
      return known;
    }
    // Until it has been read to its end.
    this.#hasFailed = true;
    const fields = this.#decode(block, start, end);
    this.#hasFailed = false;
    // A block that changes the table means something else each time.
    if (version === this.#version && !this.tooLarge) this.#memo.remember(block, start, end, version, fields);
    return fields;
  }

  #decode(block: Buffer, start: number, end: number): HeaderField[] {
    const reader = this.#reader;
    reader.open(block, start, end);
    this.#readSizeUpdates(reader);
    const fields: HeaderField[] = [];
    let bytesLeft = this.#maxListBytes;
    while (!reader.isAtEnd) {
      const field = this.#readField(reader);
      bytesLeft -= fieldBytes(field);
      if (bytesLeft >= 0) fields.push(field);
    }
    reader.close();
    this.tooLarge = bytesLeft < 0;
    return fields;
  }

  /** RFC 7541, section 4.2: at most two, before all fields. */
  #readSizeUpdates(reader: OctetReader): void {
    for (let updates = 0; !reader.isAtEnd && isSizeUpdate(reader.peek()); updates++) {
      if (updates === 2) throw new HpackError("a block has more than two table size updates");
      const bytes = reader.integer(0x1f);
      if (bytes > this.#allowedBytes) throw new HpackError("a table size update is above what is allowed");
      this.#table.resize(bytes);
      this.#version++;
    }
    if (this.#table.maxBytes > this.#allowedBytes) throw new HpackError("a table size update is missing");
  }

  #readField(reader: OctetReader): HeaderField {
    const first = reader.peek();
    if (first >= 0x80) return this.#field(reader.integer(0x7f));
    if (first >= 0x40) {
      const field = this.#readLiteral(reader, 0x3f);
      this.#table.insert(field);
      this.#version++;
      return field;
    }
    if (isSizeUpdate(first)) throw new HpackError("a table size update is not at the beginning of its block");
    if (first < 0x10) return this.#readLiteral(reader, 0xf);
    return { ...this.#readLiteral(reader, 0xf), indexing: "never" };
  }

  #readLiteral(reader: OctetReader, prefix: number): HeaderField {
    const index = reader.integer(prefix);
    const name = index === 0 ? reader.text() : this.#field(index).name;
    const value = reader.text();
    return isLegal(name, value) ? { name, value } : { name, value, isIllegal: true };
  }

  #field(index: number): HeaderField {
    const field = index <= STATIC_COUNT ? STATIC_FIELDS[index - 1] : this.#table.at(index - STATIC_COUNT - 1);
    if (!field) throw new HpackError(`there is no field with the index ${index}`);
    return field;
  }
}

function isSizeUpdate(octet: number): boolean {
  return octet >= 0x20 && octet < 0x40;
}
