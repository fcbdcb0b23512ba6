import { Code, ConnectError } from "@connectrpc/connect";
import type { Stream } from "../http2/stream.ts";
import { COMPRESSED, EnvelopeReader } from "./envelope.ts";
import { UnreadBytes } from "./unread-bytes.ts";

/** A message as it came. */
export interface WaitingMessage {
  readonly bytes: Uint8Array;
  readonly isCompressed: boolean;
}

/** How many wait at most: an object for each of a few bytes would be many times what the peer's window allows. */
const MAX_WAITING = 512;

/**
 * The messages that came on a stream and that nobody has taken yet, in their order. What comes while messages wait that came
 * before is kept as bytes, apart from the socket's chunks, and counted as held of the stream.
 */
export class WaitingMessages {
  readonly #stream: Stream;
  readonly #reader: EnvelopeReader;
  readonly #messages: (WaitingMessage | undefined)[] = [];
  /** The first that was not taken. */
  #first = 0;
  /** Where they came in. */
  #chunk: Buffer | undefined;
  readonly #unread = new UnreadBytes();
  #broken: unknown;

  /** Takes messages of up to `maxMessageBytes` each, before they are decompressed. */
  constructor(stream: Stream, maxMessageBytes: number) {
    this.#stream = stream;
    this.#reader = new EnvelopeReader(maxMessageBytes, (flags, bytes) => {
      const count = this.#messages.push({ bytes, isCompressed: (flags & COMPRESSED) !== 0 });
      if (count >= MAX_WAITING) this.#reader.pause();
    });
  }

  /** False by default: then a compressed message is an error. */
  set mayBeCompressed(mayBe: boolean) {
    this.#reader.mayBeCompressed = mayBe;
  }

  /** Data has come. Throws ConnectError for what is no message, or too large, if that is not found later by {@link take}. */
  push(chunk: Buffer, start: number, end: number): void {
    let at = start;
    if (this.#unread.length === 0 && (this.#messages.length === 0 || chunk === this.#chunk)) {
      at = this.#reader.push(chunk, start, end);
      if (this.#messages.length > 0) this.#chunk = chunk;
    }
    if (at < end) this.#unread.push(chunk, at, end);
    this.#hold();
  }

  /** The next one, if it is there. Throws ConnectError for what is no message, or too large, after those that came before. */
  take(): WaitingMessage | undefined {
    if (this.#messages.length === 0 && this.#unread.length > 0) this.#readOn();
    const message = this.#messages[this.#first];
    if (message) {
      this.#messages[this.#first++] = undefined;
      if (this.#first === this.#messages.length) this.#forget();
    } else if (this.#broken) throw this.#broken;
    return message;
  }

  /** Says that the stream has ended, and all were taken. Throws INTERNAL if it ended within a message. */
  finish(): void {
    this.#reader.finish();
  }

  /** Lets go of all that waits, and ignores what comes. Safe to call twice. */
  close(): void {
    this.#reader.close();
    this.#unread.clear();
    this.#forget();
    this.#broken = undefined;
    this.#hold();
  }

  /** How much of a message has come that the peer alone can bring to its end; undefined if there is none. */
  get progress(): number | undefined {
    const { buffered, expected } = this.#reader;
    return expected > 0 && this.#unread.length === 0 ? buffered : undefined;
  }

  #hold(): void {
    const { buffered, expected } = this.#reader;
    // Nobody can take a message before all of it has come.
    if (expected > 0) this.#stream.connection?.widen(this.#stream, expected - buffered);
    if (this.#stream.hold(buffered + this.#unread.length)) return;
    throw new ConnectError("this connection holds too much already", Code.ResourceExhausted);
  }

  /** Goes on with what was left. */
  #readOn(): void {
    try {
      this.#unread.take((bytes, start, end) => this.#reader.push(bytes, start, end));
    } catch (error) {
      this.#unread.clear();
      this.#broken = error;
    }
    this.#hold();
  }

  #forget(): void {
    this.#messages.length = 0;
    this.#first = 0;
    this.#chunk = undefined;
  }
}
