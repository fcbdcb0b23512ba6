import type { Duplex } from "node:stream";

const KEPT_BYTES = 32_768;

/**
 * Gathers all frames that are made in one turn of the event loop and gives them to the socket in one write: system calls
 * cost more than all else. Whoever writes reserves first, then writes at `at` of `buffer` and moves `at` on.
 */
export class FrameWriter {
  buffer = Buffer.allocUnsafeSlow(KEPT_BYTES);
  at = 0;
  /** How often what was gathered has been given away: before and after that, `at` is not the same place. */
  flushes = 0;
  #givenBytes = 0;
  readonly #socket: Duplex;
  #isScheduled = false;
  #isClosed = false;
  /** True while the socket has more than it wants to hold. */
  isFull = false;

  constructor(socket: Duplex) {
    this.#socket = socket;
  }

  /** Bytes that the peer has not let us send yet, as far as this process knows. */
  get pendingBytes(): number {
    return this.at + this.#socket.writableLength;
  }

  /** Bytes that have left this process while others wait to; undefined if none wait. */
  get leftBytes(): number | undefined {
    const waiting = this.#socket.writableLength;
    return waiting > 0 ? this.#givenBytes - waiting : undefined;
  }

  /** Makes room for so many bytes, and sees to it that they leave at the end of this turn. */
  reserve(bytes: number): void {
    if (this.at + bytes > this.buffer.length) {
      this.flush();
      if (bytes > this.buffer.length) this.buffer = Buffer.allocUnsafeSlow(bytes);
    }
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      setImmediate(this.#flushScheduled);
    }
  }

  readonly #flushScheduled = (): void => {
    this.#isScheduled = false;
    this.flush();
  };

  /** Gives what has been gathered to the socket now. */
  flush(): void {
    if (this.at === 0) return;
    const bytes = this.buffer.subarray(0, this.at);
    this.at = 0;
    this.flushes++;
    if (this.#isClosed) return;
    this.#givenBytes += bytes.length;
    this.isFull = !this.#socket.write(bytes);
    // The kernel has taken it, or the socket still reads it.
    if (this.#socket.writableLength > 0 || this.buffer.length > KEPT_BYTES) {
      this.buffer = Buffer.allocUnsafeSlow(KEPT_BYTES);
    }
  }

  /** From now on what is written goes nowhere. */
  close(): void {
    this.#isClosed = true;
  }
}
