import { ErrorCode } from "./error-code.ts";
import { FRAME_HEAD_BYTES, readUint32 } from "./frame.ts";
import { ConnectionError } from "./http2-error.ts";

/** Is told of each frame. */
export interface FrameSink {
  /**
   * Its payload lies in `chunk` from `start` to `end`, and stays there: nothing writes to it again. False: nothing more of
   * this connection is to be read.
   */
  onFrame(type: number, flags: number, streamId: number, chunk: Buffer, start: number, end: number): boolean;
}

/**
 * Cuts what a socket reads into frames (RFC 9113, section 4.1). A frame that lies whole in a chunk is not copied; one that
 * spans several is gathered, and never more than one frame is held.
 */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #maxFrameBytes: number;
  #held: Buffer | undefined;
  #heldBytes = 0;
  #heldFrames = 0;

  constructor(sink: FrameSink, maxFrameBytes: number) {
    this.#sink = sink;
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** True while a frame has come in part. */
  get isWithinFrame(): boolean {
    return this.#held !== undefined;
  }

  /** The number of the frame that has come in part, among those that did; undefined while there is none. */
  get heldFrame(): number | undefined {
    return this.#held && this.#heldFrames;
  }

  /** Throws ConnectionError for a frame that is larger than was agreed. False: the sink wants no more. */
  push(chunk: Buffer): boolean {
    let at = 0;
    if (this.#held) {
      at = this.#complete(chunk);
      if (at < 0) return false;
    }
    while (chunk.length - at >= FRAME_HEAD_BYTES) {
      const start = at + FRAME_HEAD_BYTES;
      const end = start + this.#payloadBytes(chunk, at);
      if (end > chunk.length) break;
      if (!this.#pass(chunk, at, end)) return false;
      at = end;
    }
    if (at < chunk.length) this.#hold(chunk, at);
    return true;
  }

  #payloadBytes(chunk: Buffer, at: number): number {
    const bytes =
      ((chunk[at] as number) << 16) | ((chunk[at + 1] as number) << 8) | (chunk[at + 2] as number);
    if (bytes > this.#maxFrameBytes) {
      throw new ConnectionError(
        ErrorCode.FRAME_SIZE_ERROR,
        `a frame of ${bytes} bytes, where ${this.#maxFrameBytes} are allowed`,
      );
    }
    return bytes;
  }

  #pass(chunk: Buffer, at: number, end: number): boolean {
    const streamId = readUint32(chunk, at + 5) & 0x7fffffff;
    return this.#sink.onFrame(
      chunk[at + 3] as number,
      chunk[at + 4] as number,
      streamId,
      chunk,
      at + FRAME_HEAD_BYTES,
      end,
    );
  }

  #hold(chunk: Buffer, at: number): void {
    const bytes = chunk.length - at;
    const whole =
      bytes < FRAME_HEAD_BYTES ? FRAME_HEAD_BYTES : FRAME_HEAD_BYTES + this.#payloadBytes(chunk, at);
    // Its own memory: what it holds may be read long after.
    this.#held = Buffer.allocUnsafeSlow(whole);
    this.#heldFrames++;
    this.#heldBytes = chunk.copy(this.#held, 0, at);
  }

  /** Goes on with the frame that is held. Returns where the next one begins in the chunk; -1 if the sink wants no more. */
  #complete(chunk: Buffer): number {
    let held = this.#held as Buffer;
    let at = this.#fill(held, chunk, 0);
    if (this.#heldBytes < held.length) return at;
    if (held.length === FRAME_HEAD_BYTES) {
      const bytes = this.#payloadBytes(held, 0);
      if (bytes > 0) {
        const whole = Buffer.allocUnsafeSlow(FRAME_HEAD_BYTES + bytes);
        held.copy(whole);
        this.#held = whole;
        held = whole;
        at = this.#fill(held, chunk, at);
        if (this.#heldBytes < held.length) return at;
      }
    }
    this.#held = undefined;
    return this.#pass(held, 0, held.length) ? at : -1;
  }

  #fill(held: Buffer, chunk: Buffer, at: number): number {
    const copied = chunk.copy(held, this.#heldBytes, at);
    this.#heldBytes += copied;
    return at + copied;
  }
}
