import type { HeaderField } from "./hpack/header-field.ts";
import type { HeaderTemplate } from "./hpack/header-template.ts";

/** What a stream has to send and may not yet: data in its order, then the end or the trailers. */
export class Unsent {
  readonly #chunks: Uint8Array[] = [];
  /** Where the first chunk goes on. */
  #at = 0;
  bytes = 0;
  /** The last data ends the stream. */
  isEnd = false;
  /** They end it. */
  trailers: readonly HeaderField[] | HeaderTemplate | undefined;

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.bytes += chunk.length;
  }

  /** Moves so many bytes to `at` of `out`. */
  moveTo(out: Buffer, at: number, bytes: number): void {
    let to = at;
    const end = at + bytes;
    while (to < end) {
      const chunk = this.#chunks[0] as Uint8Array;
      const part = chunk.subarray(this.#at, this.#at + end - to);
      out.set(part, to);
      to += part.length;
      this.#at += part.length;
      if (this.#at === chunk.length) {
        this.#chunks.shift();
        this.#at = 0;
      }
    }
    this.bytes -= bytes;
  }
}
