import assert from "node:assert/strict";
import { ErrorCode } from "./error-code.ts";
import { Flag, FrameType, PREFACE, readUint32 } from "./frame.ts";
import { FrameReader } from "./frame-reader.ts";
import { HpackDecoder } from "./hpack/decoder.ts";

/** Reads what a connection writes, and fails if it is no HTTP/2: broken frames, or frames that may not be at that point. */
export class FuzzOutput {
  resets = 0;
  /** The code of the last GOAWAY. */
  goaway: number | undefined;
  readonly #reader: FrameReader;
  readonly #decoder = new HpackDecoder();
  readonly #ended = new Set<number>();
  #prefaceLeft: number;
  #isFirst = true;
  #block: { readonly stream: number; readonly parts: Buffer[]; readonly isEnd: boolean } | undefined;

  constructor(isServer: boolean) {
    this.#prefaceLeft = isServer ? 0 : PREFACE.length;
    // No frame of ours is above 64 KiB, whatever the peer takes.
    this.#reader = new FrameReader(this, 65_536);
  }

  push(octets: Buffer): void {
    const preface = octets.subarray(0, this.#prefaceLeft);
    const at = PREFACE.length - this.#prefaceLeft;
    assert.ok(preface.equals(PREFACE.subarray(at, at + preface.length)), "the preface is wrong");
    this.#prefaceLeft -= preface.length;
    this.#reader.push(octets.subarray(preface.length));
  }

  onFrame(type: number, flags: number, stream: number, chunk: Buffer, start: number, end: number): boolean {
    const payload = chunk.subarray(start, end);
    assert.ok(!this.#isFirst || type === FrameType.SETTINGS, "the first frame is not SETTINGS");
    this.#isFirst = false;
    assert.ok(!this.goaway, "something is said after a GOAWAY that ends all");
    assert.ok(!this.#block || type === FrameType.CONTINUATION, "headers are interrupted");
    switch (type) {
      case FrameType.DATA:
        this.#says(stream, (flags & Flag.END_STREAM) !== 0);
        break;
      case FrameType.HEADERS:
        this.#block = { stream, parts: [payload], isEnd: (flags & Flag.END_STREAM) !== 0 };
        this.#headers(flags);
        break;
      case FrameType.CONTINUATION:
        this.#block?.parts.push(payload);
        this.#headers(flags);
        break;
      case FrameType.RST_STREAM:
        assert.equal(payload.length, 4);
        this.resets++;
        this.#ended.add(stream);
        break;
      case FrameType.WINDOW_UPDATE:
        assert.ok(payload.length === 4 && readUint32(payload, 0) > 0, "a window is opened by nothing");
        break;
      case FrameType.GOAWAY:
        this.goaway = readUint32(payload, 4);
        assert.notEqual(this.goaway, ErrorCode.INTERNAL_ERROR, payload.toString("latin1", 8));
        break;
      default:
        assert.ok(type === FrameType.SETTINGS || type === FrameType.PING, `a frame of type ${type}`);
    }
    return true;
  }

  #headers(flags: number): void {
    if (!(flags & Flag.END_HEADERS) || !this.#block) return;
    const { stream, parts, isEnd } = this.#block;
    this.#block = undefined;
    const block = Buffer.concat(parts);
    this.#decoder.decode(block, 0, block.length);
    this.#says(stream, isEnd);
  }

  #says(stream: number, isEnd: boolean): void {
    assert.ok(!this.#ended.has(stream), `stream ${stream} says something after its end`);
    if (isEnd) this.#ended.add(stream);
  }
}
