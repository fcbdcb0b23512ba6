import { fieldBytes, type HeaderField } from "./header-field.ts";

/** What a table holds at a moment. */
export interface TableContent {
  /** The newest first. */
  readonly fields: readonly HeaderField[];
  /** The sum of all entries, each with its overhead (RFC 7541, section 4.1). */
  readonly bytes: number;
}

/** The fields that one direction of a connection remembers, the newest first (RFC 7541, section 2.3.2). */
export class DynamicTable {
  /** The ring's length is a power of two; entry number n is at n modulo it. */
  #ring: (HeaderField | undefined)[] = new Array(64).fill(undefined);
  #inserted = 0;
  #count = 0;
  #bytes = 0;
  #maxBytes: number;
  readonly #onEvict: ((field: HeaderField, number: number) => void) | undefined;

  /** `onEvict` is told of each entry that leaves, the oldest first, and as which it was inserted, counted from 0. */
  constructor(maxBytes: number, onEvict?: (field: HeaderField, number: number) => void) {
    this.#maxBytes = maxBytes;
    this.#onEvict = onEvict;
  }

  /** How many entries were ever inserted, so that one that was the nth is now the `inserted - n`th newest. */
  get inserted(): number {
    return this.#inserted;
  }

  get maxBytes(): number {
    return this.#maxBytes;
  }

  content(): TableContent {
    const fields: HeaderField[] = [];
    for (let newer = 0; newer < this.#count; newer++) {
      const field = this.at(newer);
      if (field) fields.push(field);
    }
    return { fields, bytes: this.#bytes };
  }

  /** The entry with so many newer ones; undefined if there is none. */
  at(newer: number): HeaderField | undefined {
    if (newer >= this.#count) return undefined;
    return this.#ring[(this.#inserted - 1 - newer) & (this.#ring.length - 1)];
  }

  /** Evicts what must make room, which is all of them for an entry that finds none even so (RFC 7541, section 4.4). */
  insert(field: HeaderField): void {
    const bytes = fieldBytes(field);
    this.#evictTo(this.#maxBytes - bytes);
    if (bytes > this.#maxBytes) return;
    if (this.#count === this.#ring.length) this.#grow();
    this.#ring[this.#inserted & (this.#ring.length - 1)] = field;
    this.#inserted++;
    this.#count++;
    this.#bytes += bytes;
  }

  /** Evicts what no longer fits (RFC 7541, section 4.3). */
  resize(maxBytes: number): void {
    this.#maxBytes = maxBytes;
    this.#evictTo(maxBytes);
  }

  #evictTo(bytes: number): void {
    while (this.#bytes > bytes && this.#count > 0) {
      const number = this.#inserted - this.#count;
      const slot = number & (this.#ring.length - 1);
      const oldest = this.#ring[slot];
      if (!oldest) return;
      this.#ring[slot] = undefined;
      this.#count--;
      this.#bytes -= fieldBytes(oldest);
      this.#onEvict?.(oldest, number);
    }
  }

  #grow(): void {
    const ring: (HeaderField | undefined)[] = new Array(this.#ring.length * 2).fill(undefined);
    for (let number = this.#inserted - this.#count; number < this.#inserted; number++) {
      ring[number & (ring.length - 1)] = this.#ring[number & (this.#ring.length - 1)];
    }
    this.#ring = ring;
  }
}
