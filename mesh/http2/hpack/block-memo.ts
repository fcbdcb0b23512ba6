import type { HeaderField } from "./header-field.ts";

/** Blocks that are longer are seldom the same. */
const MOST_OCTETS = 64;
/** A power of two. */
const PLACES = 16;

interface Remembered {
  readonly octets: Uint8Array;
  readonly fields: readonly HeaderField[];
  readonly version: number;
}

/**
 * The blocks that came last, by their octets: as long as the table is the same, so are their fields. Most calls of a
 * connection begin and end with the same few octets.
 */
export class BlockMemo {
  readonly #places: (Remembered | undefined)[] = new Array(PLACES).fill(undefined);

  /** The fields of this block, if it came before at this version of the table. */
  find(block: Buffer, start: number, end: number, version: number): readonly HeaderField[] | undefined {
    const found = this.#places[placeOf(block, start, end)];
    if (found === undefined || found.version !== version) return undefined;
    const { octets } = found;
    if (octets.length !== end - start) return undefined;
    for (let i = 0; i < octets.length; i++) if (octets[i] !== block[start + i]) return undefined;
    return found.fields;
  }

  /** Remembers a block in the place of another. Nobody may change its fields. */
  remember(block: Buffer, start: number, end: number, version: number, fields: readonly HeaderField[]): void {
    if (end - start > MOST_OCTETS) return;
    const octets = Uint8Array.prototype.slice.call(block, start, end);
    this.#places[placeOf(block, start, end)] = { octets, fields, version };
  }
}

/** By its length and its last octet, which tell most blocks of a connection apart. */
function placeOf(block: Buffer, start: number, end: number): number {
  return (end - start + (block[end - 1] as number)) & (PLACES - 1);
}
