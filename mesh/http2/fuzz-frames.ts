import { Flag, FrameType, PREFACE } from "./frame.ts";
import { HpackEncoder } from "./hpack/encoder.ts";
import type { FuzzRandom } from "./hpack/fuzz-random.ts";
import type { HeaderField } from "./hpack/header-field.ts";
import { frame, uint32 } from "./raw-peer.ts";

const REQUEST: readonly HeaderField[] = [
  { name: ":method", value: "POST" },
  { name: ":scheme", value: "http" },
  { name: ":path", value: "/a" },
];
const RESPONSE: readonly HeaderField[] = [{ name: ":status", value: "200" }];
const TRAILERS: readonly HeaderField[] = [{ name: "x-end", value: "1" }];
/** Parameters with a value that may be. */
const SETTINGS: readonly (readonly [number, number])[] = [
  [1, 0],
  [1, 100],
  [1, 4_096],
  [2, 0],
  [3, 0],
  [3, 5],
  [3, 1_000],
  [4, 0],
  [4, 100],
  [4, 65_535],
  [4, 100_000],
  [5, 16_384],
  [5, 2 ** 24 - 1],
  [6, 1],
  [0x99, 2 ** 32 - 1],
];

/** A peer that writes frames by chance: mostly such as may be at that moment, some that are damaged, some that are noise. */
export class FuzzFrames {
  readonly #random: FuzzRandom;
  readonly #isClient: boolean;
  readonly #encoder = new HpackEncoder();
  #nextStreamId = 1;
  #hasBegun = false;

  constructor(random: FuzzRandom, isClient: boolean) {
    this.#random = random;
    this.#isClient = isClient;
  }

  /** The octets of some frames. `open` are the streams that the other side has begun and not ended. */
  sequence(open: readonly number[]): Buffer {
    const parts: Buffer[] = [];
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      if (this.#isClient) parts.push(PREFACE);
      parts.push(frame(FrameType.SETTINGS, 0, 0, Buffer.alloc(0)));
    }
    for (let count = 1 + this.#random.below(6); count > 0; count--) parts.push(...this.#frames(open));
    const octets = Buffer.concat(parts);
    if (this.#random.oneIn(25)) return this.#damaged(octets);
    return this.#random.oneIn(100) ? Buffer.concat([octets, this.#random.octets(40)]) : octets;
  }

  #damaged(octets: Buffer): Buffer {
    for (let count = 1 + this.#random.below(3); count > 0; count--) {
      octets[this.#random.below(octets.length)] = this.#random.below(256);
    }
    if (this.#random.oneIn(4)) return octets.subarray(this.#random.below(octets.length));
    if (this.#random.oneIn(4)) return Buffer.concat([octets, octets]);
    return octets;
  }

  #pick<T>(values: readonly T[]): T {
    return values[this.#random.below(values.length)] as T;
  }

  /** One that is open, most times. */
  #stream(open: readonly number[]): number {
    if (open.length > 0 && !this.#random.oneIn(50)) return this.#pick(open);
    return this.#random.oneIn(20) ? this.#random.below(this.#nextStreamId + 4) : 0;
  }

  #frames(open: readonly number[]): Buffer[] {
    const stream = this.#stream(open);
    // Nothing that is of a stream can be said yet.
    if (stream === 0) return this.#isClient ? this.#request() : [this.#ping()];
    switch (this.#random.below(16)) {
      case 0:
      case 1:
      case 2:
        return this.#isClient ? this.#request() : this.#headers(stream, RESPONSE, this.#random.oneIn(6));
      case 3:
        return this.#headers(stream, TRAILERS, !this.#random.oneIn(8));
      case 4:
      case 5:
      case 6:
      case 7:
        return [this.#data(stream)];
      case 8:
        return [frame(FrameType.RST_STREAM, 0, stream, uint32(this.#random.below(16)))];
      case 9:
        return [frame(FrameType.SETTINGS, 0, 0, this.#settings())];
      case 10:
        return [
          this.#random.oneIn(4) ? frame(FrameType.SETTINGS, Flag.ACK, 0, Buffer.alloc(0)) : this.#ping(),
        ];
      case 11:
      case 12:
      case 13:
        return [frame(FrameType.WINDOW_UPDATE, 0, this.#random.oneIn(2) ? 0 : stream, this.#window())];
      case 14:
        return [
          frame(FrameType.PRIORITY, 0, stream, Buffer.concat([uint32(this.#stream(open)), Buffer.of(1)])),
        ];
      default:
        return [this.#rare(stream)];
    }
  }

  #request(): Buffer[] {
    const id = this.#nextStreamId;
    this.#nextStreamId += 2;
    const fields = this.#random.oneIn(10)
      ? [...REQUEST, { name: "content-length", value: String(this.#random.below(100)) }]
      : REQUEST;
    return this.#headers(id, fields, this.#random.oneIn(4));
  }

  #headers(stream: number, fields: readonly HeaderField[], isEnd: boolean): Buffer[] {
    const own = { name: `x-${this.#random.below(9)}`, value: "v".repeat(this.#random.below(60)) };
    const all = [...fields, ...(this.#random.oneIn(3) ? [own] : [])];
    const out = Buffer.alloc(this.#encoder.bound(all));
    const block = out.subarray(0, this.#encoder.encode(all, out, 0));
    const end = isEnd ? Flag.END_STREAM : 0;
    if (!this.#random.oneIn(5)) return [frame(FrameType.HEADERS, end | Flag.END_HEADERS, stream, block)];
    const cut = this.#random.below(block.length + 1);
    const rest = frame(FrameType.CONTINUATION, Flag.END_HEADERS, stream, block.subarray(cut));
    const head = frame(FrameType.HEADERS, end, stream, block.subarray(0, cut));
    // Interrupted, which nobody may be.
    return this.#random.oneIn(20) ? [head, this.#ping(), rest] : [head, rest];
  }

  #data(stream: number): Buffer {
    const bytes = this.#pick([0, 1, 30, 1_000, this.#random.below(16_385)]);
    const isEnd = this.#random.oneIn(5) ? Flag.END_STREAM : 0;
    if (!this.#random.oneIn(6)) return frame(FrameType.DATA, isEnd, stream, Buffer.alloc(bytes, "d"));
    const padding = this.#random.below(256);
    const padded = Buffer.concat([
      Buffer.of(padding),
      Buffer.alloc(Math.min(bytes, 16_000), "d"),
      Buffer.alloc(padding),
    ]);
    return frame(FrameType.DATA, isEnd | Flag.PADDED, stream, padded);
  }

  #settings(): Buffer {
    const pairs = Array.from({ length: this.#random.below(3) }, () => {
      const pair = Buffer.alloc(6);
      const [id, value] = this.#pick(SETTINGS);
      pair.writeUInt16BE(id);
      pair.writeUInt32BE(this.#random.oneIn(100) ? 2 ** 32 - 1 : value, 2);
      return pair;
    });
    return Buffer.concat(pairs);
  }

  #window(): Buffer {
    const bytes = this.#random.oneIn(100) ? 2 ** 31 - 2 : this.#random.below(60_000);
    return uint32(this.#random.oneIn(60) ? 0 : 1 + bytes);
  }

  #ping(): Buffer {
    return frame(FrameType.PING, this.#random.oneIn(4) ? Flag.ACK : 0, 0, this.#random.octets(8));
  }

  #rare(stream: number): Buffer {
    const kind = this.#random.below(12);
    if (kind === 0)
      return frame(FrameType.GOAWAY, 0, 0, Buffer.concat([uint32(stream), uint32(this.#random.below(14))]));
    if (kind === 1) return frame(FrameType.PUSH_PROMISE, Flag.END_HEADERS, stream, this.#random.octets(6));
    // Of a type that nobody knows.
    return frame(0x10 + this.#random.below(200), this.#random.below(256), stream, this.#random.octets(9));
  }
}
