import assert from "node:assert/strict";
import { ErrorCode } from "./error-code.ts";
import type { FuzzRandom } from "./hpack/fuzz-random.ts";
import type { HeaderField } from "./hpack/header-field.ts";
import { Stream } from "./stream.ts";

const STATUS: readonly HeaderField[] = [{ name: ":status", value: "200" }];
const TRAILERS: readonly HeaderField[] = [{ name: "x-end", value: "1" }];
const NONE = new Uint8Array(0);
const DATA = Buffer.alloc(70_000, "a");

/** A stream whose owner says and takes things by chance, and fails if it is told anything that cannot be. */
export class FuzzStream extends Stream {
  /** What came and was not taken. */
  untakenBytes = 0;
  hasFailed = false;
  /** Its owner has ended it. */
  hasLeft = false;
  readonly #random: FuzzRandom;
  readonly #isServer: boolean;
  #hasSaidHeaders = false;
  #hasSaidEnd = false;
  #hasHeardEnd = false;

  constructor(random: FuzzRandom, isServer: boolean) {
    super();
    this.#random = random;
    this.#isServer = isServer;
    this.#hasSaidHeaders = !isServer;
  }

  onHeaders(_fields: readonly HeaderField[], isEnd: boolean): void {
    this.#heard(isEnd);
    if (this.#random.oneIn(3)) this.act();
  }

  onData(chunk: Buffer, start: number, end: number, isEnd: boolean): void {
    assert.ok(start <= end && end <= chunk.length, "data lies outside of its chunk");
    this.#heard(isEnd);
    this.untakenBytes += end - start;
    if (this.#random.oneIn(2)) this.act();
  }

  #heard(isEnd: boolean): void {
    assert.ok(!this.hasFailed && !this.hasLeft, "a stream that is over is told something");
    assert.ok(!this.#hasHeardEnd, "something comes after the end");
    this.#hasHeardEnd = isEnd;
  }

  onFailure(): void {
    assert.ok(!this.hasFailed && !this.hasLeft, "a stream fails twice");
    assert.ok(!this.isOpen, "a stream fails that is open");
    this.hasFailed = true;
  }

  override onDrain(): void {
    assert.ok(!this.hasFailed && !this.hasLeft, "a stream drains that is over");
    assert.equal(this.unsent, undefined);
    if (this.#random.oneIn(3)) this.act();
  }

  /** Does one thing that an owner may do. */
  act(): void {
    if (!this.isOpen) return;
    switch (this.#random.below(9)) {
      case 0:
        this.hold(this.#random.below(60_000));
        break;
      case 1:
        this.connection?.widen(this, this.#random.below(200_000));
        break;
      case 2:
        if (!this.#random.oneIn(4)) break;
        this.hasLeft = true;
        this.reset(this.#random.oneIn(2) ? ErrorCode.CANCEL : ErrorCode.NO_ERROR);
        break;
      case 3:
      case 4:
        this.#take();
        break;
      default:
        this.#say();
    }
  }

  #take(): void {
    const bytes = this.#random.below(this.untakenBytes + 1);
    this.untakenBytes -= bytes;
    this.taken(bytes);
  }

  #say(): void {
    if (this.#hasSaidEnd) return;
    if (!this.#hasSaidHeaders) {
      this.#hasSaidHeaders = true;
      this.#hasSaidEnd = this.#random.oneIn(8);
      this.sendHeaders(STATUS, this.#hasSaidEnd);
      return;
    }
    this.#hasSaidEnd = this.#random.oneIn(4);
    if (this.#hasSaidEnd && this.#isServer && this.#random.oneIn(2)) {
      this.sendHeaders(TRAILERS, true);
      return;
    }
    const bytes = this.#random.oneIn(3) ? this.#random.below(DATA.length) : this.#random.below(100);
    this.send(NONE, DATA.subarray(0, bytes), this.#hasSaidEnd);
  }
}
