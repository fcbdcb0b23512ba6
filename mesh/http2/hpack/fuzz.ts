import assert from "node:assert/strict";
import { HpackDecoder } from "./decoder.ts";
import { FuzzPeer } from "./fuzz-peer.ts";
import { FuzzRandom } from "./fuzz-random.ts";
import { fieldBytes, type HeaderField } from "./header-field.ts";
import { HpackError } from "./hpack-error.ts";

/** What became of the cases. */
export interface FuzzOutcome {
  /** Blocks as a peer writes them, decoded to what it meant. */
  readonly meant: number;
  /** Damaged or random blocks that mean something all the same. */
  readonly decoded: number;
  /** Blocks that were refused, and with them their connections. */
  readonly refused: number;
  readonly tooLarge: number;
}

const MAX_LIST_BYTES = 4_000;

/**
 * Feeds decoders with blocks that are valid, damaged or mere noise. Fails if one of them ends in anything but an
 * {@link HpackError} or a bounded list, is read beyond its end, or is not what its sender meant. The seed repeats a run.
 */
export function fuzzHpack({ seed, cases }: { readonly seed: number; readonly cases: number }): FuzzOutcome {
  const random = new FuzzRandom(seed);
  const outcome = { meant: 0, decoded: 0, refused: 0, tooLarge: 0 };
  let connection = new FuzzConnection(random);
  for (let number = 0; number < cases; number++) {
    try {
      const result = connection.next();
      outcome[result]++;
      if (connection.tooLarge) outcome.tooLarge++;
      if (result === "refused" || random.oneIn(100)) connection = new FuzzConnection(random);
    } catch (cause) {
      throw new Error(`case ${number} of seed ${seed}: ${connection.lastBlock.toString("hex")}`, { cause });
    }
  }
  return outcome;
}

class FuzzConnection {
  lastBlock: Buffer = Buffer.alloc(0);
  readonly #random: FuzzRandom;
  readonly #peer: FuzzPeer;
  /** The same blocks amid other octets: a second opinion on what lies beyond them. */
  readonly #decoder = new HpackDecoder({ maxListBytes: MAX_LIST_BYTES });
  readonly #other = new HpackDecoder({ maxListBytes: MAX_LIST_BYTES });
  #isInStep = true;

  constructor(random: FuzzRandom) {
    this.#random = random;
    this.#peer = new FuzzPeer(random);
  }

  get tooLarge(): boolean {
    return this.#decoder.tooLarge;
  }

  next(): "meant" | "decoded" | "refused" {
    const sent = this.#peer.block();
    const isMeant = this.#random.below(10) < 7;
    const block = isMeant ? sent.octets : this.#spoil(sent.octets);
    this.lastBlock = block;
    const fields = decodeAmid(this.#decoder, this.#random, block);
    assert.deepEqual(decodeAmid(this.#other, this.#random, block), fields);
    this.#isInStep &&= isMeant;
    if (!fields) {
      assert.ok(!this.#isInStep, "a valid block was refused");
      assert.equal(decodeAmid(this.#decoder, this.#random, Buffer.of(0x82)), undefined);
      return "refused";
    }
    assert.ok(listBytes(fields) <= MAX_LIST_BYTES);
    if (this.#random.oneIn(8)) this.#checkTables();
    if (!this.#isInStep) return "decoded";
    const kept = beginningOf(sent.fields);
    assert.deepEqual(fields.map(asSent), kept.map(asSent));
    assert.equal(this.tooLarge, kept.length < sent.fields.length);
    return "meant";
  }

  /** Rarely, for it takes longer than all the rest. */
  #checkTables(): void {
    const table = this.#decoder.table();
    assert.deepEqual(this.#other.table(), table);
    assert.equal(table.bytes, listBytes(table.fields));
    assert.ok(table.bytes <= 4_096);
    if (this.#isInStep) assert.deepEqual(table.fields.map(asSent), this.#peer.table.map(asSent));
  }

  #spoil(octets: Buffer): Buffer {
    const random = this.#random;
    const at = random.below(octets.length + 1);
    switch (random.below(6)) {
      case 0:
        return random.octets(random.below(60));
      case 1:
        return octets.subarray(0, at);
      case 2:
        return Buffer.concat([
          octets.subarray(0, at),
          random.octets(1 + random.below(6)),
          octets.subarray(at),
        ]);
      case 3:
        return Buffer.concat([octets.subarray(0, at), octets]);
      default: {
        const spoilt = Buffer.from(octets);
        for (let bits = 1 + random.below(4); bits > 0 && spoilt.length > 0; bits--) {
          const where = random.below(spoilt.length);
          spoilt[where] = (spoilt[where] ?? 0) ^ (1 << random.below(8));
        }
        return spoilt;
      }
    }
  }
}

/** The fields; undefined if the block is refused. */
function decodeAmid(
  decoder: HpackDecoder,
  random: FuzzRandom,
  block: Buffer,
): readonly HeaderField[] | undefined {
  const [before, after] = [random.octets(random.below(4)), random.octets(random.below(4))];
  const start = before.length;
  try {
    return decoder.decode(Buffer.concat([before, block, after]), start, start + block.length);
  } catch (error) {
    if (error instanceof HpackError) return undefined;
    throw error;
  }
}

function beginningOf(fields: readonly HeaderField[]): HeaderField[] {
  let bytes = 0;
  const end = fields.findIndex((field) => {
    bytes += fieldBytes(field);
    return bytes > MAX_LIST_BYTES;
  });
  return fields.slice(0, end < 0 ? fields.length : end);
}

function listBytes(fields: readonly HeaderField[]): number {
  return fields.reduce((bytes, field) => bytes + fieldBytes(field), 0);
}

/** What was sent of a field, without what the decoder thinks of it. */
function asSent({ isIllegal: _, ...field }: HeaderField): HeaderField {
  return field;
}
