import { Code, ConnectError } from "@connectrpc/connect";

/** Before each message: one byte of flags and four of length (PROTOCOL-HTTP2, Length-Prefixed-Message). */
export const ENVELOPE_BYTES = 5;

/** The flag of a message that is compressed as `grpc-encoding` says; gRPC has no other. */
export const COMPRESSED = 1;

/** What a message that arrives in parts gets to begin with, if it is not shorter. */
const FIRST_BYTES = 1_024;

const EMPTY = Buffer.alloc(0);

/**
 * Finds messages in the bytes of a stream, wherever those are cut. A message that lies within one chunk is a view of it;
 * one that does not is gathered in memory that grows with what arrives, so that a length alone costs nothing: never more
 * than twice the bytes that came, or 1 KiB.
 */
export class EnvelopeReader {
  /** True once `grpc-encoding` names a compression. False by default: then a compressed message is an error. */
  mayBeCompressed = false;

  readonly #maxBytes: number;
  readonly #onMessage: (flags: number, message: Buffer) => void;
  #flags = 0;
  #length = 0;
  /** How many bytes of the prefix of the message under way are here: all of them, or those are yet to come. */
  #prefixed = 0;
  #gathered = EMPTY;
  #filled = 0;
  #isClosed = false;
  #isPaused = false;

  /**
   * Hands out messages of up to `maxBytes` bytes each, before they are decompressed. A message is its receiver's until
   * `onMessage` returns; after that its bytes last as long as those of the chunk.
   */
  constructor(maxBytes: number, onMessage: (flags: number, message: Buffer) => void) {
    this.#maxBytes = maxBytes;
    this.#onMessage = onMessage;
  }

  /** The bytes that are held of a message that is not whole yet. */
  get buffered(): number {
    return this.#prefixed === ENVELOPE_BYTES ? this.#filled : this.#prefixed;
  }

  /** The announced length of the message under way; 0 if there is none. */
  get expected(): number {
    return this.#prefixed === ENVELOPE_BYTES ? this.#length : 0;
  }

  /**
   * Takes `chunk` from `start` to before `end`, and hands out each message that becomes whole. Throws RESOURCE_EXHAUSTED
   * at the prefix of one that is too long, INTERNAL at flags that gRPC has not or that no `grpc-encoding` explains. An
   * error, also one of `onMessage`, closes the reader. Returns where it stopped: at `end`, unless it was told to pause.
   */
  push(chunk: Buffer, start: number, end: number): number {
    if (this.#isClosed) return end;
    this.#isPaused = false;
    try {
      let at = start;
      while (at < end && !this.#isPaused) {
        if (this.#prefixed < ENVELOPE_BYTES) at = this.#readPrefix(chunk, at, end);
        if (this.#prefixed === ENVELOPE_BYTES) at = this.#readMessage(chunk, at, end);
        if (this.#isClosed) return end;
      }
      return at;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Says that the stream has ended. Throws INTERNAL if it did so within a message. */
  finish(): void {
    if (this.#prefixed === 0) return;
    const held = this.buffered;
    const expected = this.#prefixed === ENVELOPE_BYTES ? this.#length : ENVELOPE_BYTES;
    const part = this.#prefixed === ENVELOPE_BYTES ? "message" : "prefix of a message";
    this.close();
    throw new ConnectError(
      `incomplete message: the stream ended after ${held} of the ${expected} bytes of a ${part}`,
      Code.Internal,
    );
  }

  /** Reads no further than the message that is being handed out, until the next push. To be called from within `onMessage`. */
  pause(): void {
    this.#isPaused = true;
  }

  /** Lets go of what is held, and ignores what comes. May be called from within `onMessage`. */
  close(): void {
    this.#isClosed = true;
    this.#reset();
  }

  #readPrefix(chunk: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && this.#prefixed < ENVELOPE_BYTES) {
      const byte = chunk[at++] as number;
      if (this.#prefixed === 0) {
        this.#flags = byte;
        this.#length = 0;
      } else this.#length = this.#length * 256 + byte;
      this.#prefixed++;
    }
    if (this.#prefixed === ENVELOPE_BYTES) this.#checkPrefix();
    return at;
  }

  #checkPrefix(): void {
    if ((this.#flags & ~COMPRESSED) !== 0) {
      throw new ConnectError(`a message has the flags ${this.#flags}, which gRPC has not`, Code.Internal);
    }
    if (this.#flags === COMPRESSED && !this.mayBeCompressed) {
      throw new ConnectError("a message is compressed, and no grpc-encoding says how", Code.Internal);
    }
    if (this.#length > this.#maxBytes) {
      throw new ConnectError(
        `a message of ${this.#length} bytes is longer than the ${this.#maxBytes} that are allowed`,
        Code.ResourceExhausted,
      );
    }
  }

  #readMessage(chunk: Buffer, start: number, end: number): number {
    const missing = this.#length - this.#filled;
    const available = end - start;
    if (this.#filled === 0 && available >= missing) {
      this.#handOut(chunk.subarray(start, start + missing));
      return start + missing;
    }
    const taken = Math.min(missing, available);
    this.#reserve(this.#filled + taken);
    chunk.copy(this.#gathered, this.#filled, start, start + taken);
    this.#filled += taken;
    if (this.#filled === this.#length) this.#handOut(this.#gathered);
    return start + taken;
  }

  /** Makes room for so many bytes of the message: at least twice what there was, at most the length that it will have. */
  #reserve(bytes: number): void {
    if (bytes <= this.#gathered.length) return;
    const wanted = Math.max(bytes, 2 * this.#gathered.length, FIRST_BYTES);
    const larger = Buffer.allocUnsafe(Math.min(wanted, this.#length));
    this.#gathered.copy(larger, 0, 0, this.#filled);
    this.#gathered = larger;
  }

  #handOut(message: Buffer): void {
    const flags = this.#flags;
    this.#reset();
    this.#onMessage(flags, message);
  }

  #reset(): void {
    this.#prefixed = 0;
    this.#gathered = EMPTY;
    this.#filled = 0;
  }
}
