import { Code, ConnectError } from "@connectrpc/connect";
import type { HeaderField } from "../http2/hpack/header-field.ts";
import type { Stream } from "../http2/stream.ts";
import { decompressed } from "./compressed.ts";
import { COMPRESSED, ENVELOPE_BYTES, EnvelopeReader } from "./envelope.ts";
import { UnreadBytes } from "./unread-bytes.ts";

/** What the messages of a stream need. */
export interface IncomingOptions<T> {
  readonly maxMessageBytes: number;
  readonly parse: (bytes: Uint8Array) => T;
  /** Whoever read them reads no more, and they had not ended. */
  readonly onLeft: () => void;
  /** What came earlier turns out to be no message, or too large; whoever reads is told too. */
  readonly onBroken: (error: unknown) => void;
}

interface Waiting {
  readonly bytes: Uint8Array;
  readonly isCompressed: boolean;
}

/** How many messages wait at most: an object for each of a few bytes would be many times what the peer's window allows. */
const MAX_WAITING = 256;

interface Asked<T> {
  readonly resolve: (result: IteratorResult<T>) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The messages that come on a stream, for one reader, in their order. They are parsed when they are asked for, and only
 * then may the peer send as much again: who reads slowly holds no more than the stream's window, and one message. What
 * comes while messages wait that came before is kept as bytes, apart from the socket's chunks.
 */
export class IncomingMessages<T> implements AsyncIterableIterator<T> {
  readonly #stream: Stream;
  readonly #options: IncomingOptions<T>;
  readonly #reader: EnvelopeReader;
  readonly #waiting: Waiting[] = [];
  /** The first of those that wait. */
  #first = 0;
  readonly #asked: Asked<T>[] = [];
  #fields: readonly HeaderField[] = [];
  #end: { readonly error: unknown } | undefined;
  readonly #unread = new UnreadBytes();
  /** Where those that wait came in. */
  #chunk: Buffer | undefined;

  constructor(stream: Stream, options: IncomingOptions<T>) {
    this.#stream = stream;
    this.#options = options;
    this.#reader = new EnvelopeReader(options.maxMessageBytes, (flags, message) => {
      this.#take({ bytes: message, isCompressed: (flags & COMPRESSED) !== 0 });
    });
  }

  /** The headers, which say how messages are compressed. */
  encodedAs(fields: readonly HeaderField[], mayBeCompressed: boolean): void {
    this.#fields = fields;
    this.#reader.mayBeCompressed = mayBeCompressed;
  }

  /** Data has come. Throws ConnectError for what is no message, or too large. */
  push(chunk: Buffer, start: number, end: number): void {
    let at = start;
    if (this.#unread.length === 0 && (this.#waiting.length === 0 || chunk === this.#chunk)) {
      this.#chunk = chunk;
      at = this.#reader.push(chunk, start, end);
    }
    if (at < end) this.#unread.push(chunk, at, end);
    this.#hold();
  }

  #hold(): void {
    const { buffered, expected } = this.#reader;
    // Nobody can take a message before all of it has come.
    if (expected > 0) this.#stream.connection?.widen(this.#stream, expected - buffered);
    if (!this.#stream.hold(buffered + this.#unread.length)) {
      throw new ConnectError("this connection holds too much already", Code.ResourceExhausted);
    }
  }

  /** Goes on with what was left. */
  #readOn(): void {
    try {
      this.#unread.take((bytes, start, end) => this.#reader.push(bytes, start, end));
      this.#hold();
      if (this.#unread.length === 0 && this.#end && !this.#end.error) this.#end = { error: this.#missing() };
    } catch (error) {
      this.#unread.clear();
      this.#end = { error };
      this.#options.onBroken(error);
    }
  }

  #take(message: Waiting): void {
    const asked = this.#asked.shift();
    if (asked) this.#give(message).then(asked.resolve, asked.reject);
    else if (this.#waiting.push(message) >= MAX_WAITING) this.#reader.pause();
  }

  /** No more will come; those that wait are still given out. */
  end(error: unknown): void {
    if (this.#end) return;
    this.#stream.hold(this.#unread.length);
    const failure = error ?? (this.#unread.length === 0 ? this.#missing() : undefined);
    this.#end = { error: failure };
    for (const { resolve, reject } of this.#asked.splice(0)) {
      if (failure) reject(failure);
      else resolve({ done: true, value: undefined });
    }
  }

  /** What says that the last message is not whole. */
  #missing(): unknown {
    try {
      this.#reader.finish();
      return undefined;
    } catch (broken) {
      return broken;
    }
  }

  /** Those that wait are not given out. */
  discard(): void {
    this.#forgetWaiting();
    this.#unread.clear();
  }

  #forgetWaiting(): void {
    this.#waiting.length = 0;
    this.#first = 0;
    this.#chunk = undefined;
  }

  next(): Promise<IteratorResult<T>> {
    if (this.#waiting.length === 0 && this.#unread.length > 0) this.#readOn();
    const message = this.#waiting[this.#first];
    if (message) {
      this.#first++;
      if (this.#first === this.#waiting.length) this.#forgetWaiting();
      return this.#give(message);
    }
    if (this.#end) {
      const { error } = this.#end;
      // Once: then it is over.
      this.#end = { error: undefined };
      return error ? Promise.reject(error) : Promise.resolve({ done: true, value: undefined });
    }
    return new Promise((resolve, reject) => this.#asked.push({ resolve, reject }));
  }

  async #give({ bytes, isCompressed }: Waiting): Promise<IteratorResult<T>> {
    this.#stream.taken(ENVELOPE_BYTES + bytes.length);
    const { maxMessageBytes, parse } = this.#options;
    const whole = isCompressed ? await decompressed(bytes, this.#fields, maxMessageBytes) : bytes;
    return { done: false, value: parse(whole) };
  }

  return(): Promise<IteratorResult<T>> {
    if (!this.#end) this.#options.onLeft();
    this.discard();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
