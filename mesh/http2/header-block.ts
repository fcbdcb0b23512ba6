import { ErrorCode } from "./error-code.ts";
import { ConnectionError } from "./http2-error.ts";

/** A block of headers that comes in several frames (RFC 9113, section 4.3). It never holds more than `maxBytes`. */
export class HeaderBlock {
  readonly streamId: number;
  readonly isEnd: boolean;
  /** The stream that it depends on; -1 for none. */
  readonly dependsOn: number;
  readonly #maxBytes: number;
  readonly #parts: Buffer[] = [];
  #bytes = 0;

  constructor(streamId: number, isEnd: boolean, dependsOn: number, maxBytes: number) {
    this.streamId = streamId;
    this.isEnd = isEnd;
    this.dependsOn = dependsOn;
    this.#maxBytes = maxBytes;
  }

  /** Throws ConnectionError if it is too much: a block that is not decoded would leave both tables different. */
  push(chunk: Buffer, start: number, end: number): void {
    this.#bytes += end - start;
    if (this.#bytes > this.#maxBytes) {
      throw new ConnectionError(
        ErrorCode.ENHANCE_YOUR_CALM,
        "a block of headers without end",
        "CONTINUATIONS",
      );
    }
    // A copy: a part of a few bytes must not keep the chunk that it came in.
    this.#parts.push(Buffer.from(chunk.subarray(start, end)));
  }

  whole(): Buffer {
    return Buffer.concat(this.#parts, this.#bytes);
  }
}
