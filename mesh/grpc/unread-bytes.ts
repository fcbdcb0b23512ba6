const EMPTY = Buffer.alloc(0);

/** Bytes in their order, in memory of their own that is at most about twice as large as they are. */
export class UnreadBytes {
  #memory = EMPTY;
  #start = 0;
  #end = 0;

  get length(): number {
    return this.#end - this.#start;
  }

  /** Adds a copy of `chunk` from `start` to before `end`. */
  push(chunk: Buffer, start: number, end: number): void {
    const bytes = this.length + end - start;
    if (this.#end + end - start > this.#memory.length) {
      // New memory even if the old one were large enough: what was taken of that may still be in use.
      const larger = Buffer.allocUnsafeSlow(Math.max(bytes, Math.min(2 * bytes, bytes + MAX_SPARE_BYTES)));
      this.#memory.copy(larger, 0, this.#start, this.#end);
      this.#memory = larger;
      this.#end -= this.#start;
      this.#start = 0;
    }
    chunk.copy(this.#memory, this.#end, start, end);
    this.#end += end - start;
  }

  /**
   * Hands all bytes to `read`, which returns how many it took. What it took stays as it is, so that it may keep views of it.
   */
  take(read: (bytes: Buffer, start: number, end: number) => number): void {
    this.#start = read(this.#memory, this.#start, this.#end);
    if (this.#start < this.#end) return;
    this.clear();
  }

  clear(): void {
    this.#memory = EMPTY;
    this.#start = 0;
    this.#end = 0;
  }
}

const MAX_SPARE_BYTES = 65_536;
