import type { HpackEncoder } from "./encoder.ts";
import type { HeaderField } from "./header-field.ts";

/** Fields that are sent again and again: encoded once, then copied for as long as the encoder's table does not change. */
export class HeaderTemplate {
  readonly #encoder: HpackEncoder;
  readonly #fields: readonly HeaderField[];
  readonly #bound: number;
  #octets: Uint8Array = new Uint8Array(0);
  /** The version of the encoder's table that the octets are for. */
  #version = -1;

  constructor(encoder: HpackEncoder, fields: readonly HeaderField[]) {
    this.#encoder = encoder;
    this.#fields = fields;
    this.#bound = encoder.bound(fields);
  }

  /** The most that {@link encode} writes, in bytes. */
  bound(): number {
    return this.#bound;
  }

  /** Writes what the encoder would write for the fields, and returns the offset after it. */
  encode(out: Buffer, offset: number): number {
    const { version } = this.#encoder;
    if (version === this.#version) {
      out.set(this.#octets, offset);
      return offset + this.#octets.length;
    }
    const end = this.#encoder.encode(this.#fields, out, offset);
    // If something was inserted just now, this version is already over, and the next block is the one to copy.
    this.#octets = Uint8Array.from(out.subarray(offset, end));
    this.#version = version;
    return end;
  }
}
