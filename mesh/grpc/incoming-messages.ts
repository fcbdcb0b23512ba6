import type { HeaderField } from "../http2/hpack/header-field.ts";
import type { Stream } from "../http2/stream.ts";
import { decompressed } from "./compressed.ts";
import { ENVELOPE_BYTES } from "./envelope.ts";
import { type WaitingMessage, WaitingMessages } from "./waiting-messages.ts";

/** What the messages of a stream need. */
export interface IncomingOptions<T> {
  readonly maxMessageBytes: number;
  readonly parse: (bytes: Uint8Array) => T;
  /** Whoever read them reads no more, and they had not ended. */
  readonly onLeft: () => void;
  /** One turns out to be none, or too large, or cannot be read, which ends them; whoever reads is told too. */
  readonly onBroken: (error: unknown) => void;
}

interface Asked<T> {
  readonly resolve: (result: IteratorResult<T>) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The messages that come on a stream, for one reader, in their order. They are parsed when they are asked for, and only
 * then may the peer send as much again: who reads slowly holds no more than the stream's window, and one message. An error
 * is told once, and after it there are no more.
 */
export class IncomingMessages<T> implements AsyncIterableIterator<T> {
  readonly #stream: Stream;
  readonly #options: IncomingOptions<T>;
  readonly #waiting: WaitingMessages;
  /** Who asked for what has not come, or is being decompressed. */
  readonly #asked: Asked<T>[] = [];
  /** The first who asked waits for this, and nothing overtakes it. */
  #isDecompressing = false;
  #fields: readonly HeaderField[] = [];
  #end: { readonly error: unknown } | undefined;

  constructor(stream: Stream, options: IncomingOptions<T>) {
    this.#stream = stream;
    this.#options = options;
    this.#waiting = new WaitingMessages(stream, options.maxMessageBytes);
  }

  /** The headers, which say how messages are compressed. */
  encodedAs(fields: readonly HeaderField[], mayBeCompressed: boolean): void {
    this.#fields = fields;
    this.#waiting.mayBeCompressed = mayBeCompressed;
  }

  /** How much of a message has come that the peer alone can bring to its end; undefined if there is none. */
  get progress(): number | undefined {
    return this.#waiting.progress;
  }

  /** Data has come. Throws ConnectError for what is no message, or too large. */
  push(chunk: Buffer, start: number, end: number): void {
    try {
      this.#waiting.push(chunk, start, end);
    } finally {
      this.#answerAsked();
    }
  }

  /** No more will come; those that wait are still given out. */
  end(error: unknown): void {
    if (this.#end) return;
    this.#end = { error };
    this.#answerAsked();
  }

  /** Those that wait are not given out. */
  discard(): void {
    this.#waiting.close();
  }

  next(): Promise<IteratorResult<T>> {
    try {
      const result = this.#take();
      if (result) return Promise.resolve(result);
    } catch (error) {
      return Promise.reject(error);
    }
    return new Promise((resolve, reject) => this.#asked.push({ resolve, reject }));
  }

  #answerAsked(): void {
    while (this.#asked.length > 0) {
      try {
        const result = this.#take();
        if (!result) return;
        this.#asked.shift()?.resolve(result);
      } catch (error) {
        this.#asked.shift()?.reject(error);
      }
    }
  }

  /** What the next who asks gets, if it is there. Throws the error that ends them. */
  #take(): IteratorResult<T> | undefined {
    if (this.#isDecompressing) return undefined;
    const message = this.#next();
    if (!message) return this.#end && this.#takeEnd(this.#end.error);
    const { bytes, isCompressed } = message;
    this.#stream.taken(ENVELOPE_BYTES + bytes.length);
    if (!isCompressed) return this.#parse(bytes);
    this.#decompress(bytes);
    return undefined;
  }

  #next(): WaitingMessage | undefined {
    try {
      return this.#waiting.take();
    } catch (error) {
      return this.#break(error);
    }
  }

  #parse(bytes: Uint8Array): IteratorResult<T> {
    try {
      return { done: false, value: this.#options.parse(bytes) };
    } catch (error) {
      return this.#break(error);
    }
  }

  /** For the first who asked. */
  #decompress(bytes: Uint8Array): void {
    this.#isDecompressing = true;
    decompressed(bytes, this.#fields, this.#options.maxMessageBytes)
      .then(
        (whole) => this.#parse(whole),
        (error) => this.#break(error),
      )
      .then(
        (result) => this.#asked.shift()?.resolve(result),
        (error) => this.#asked.shift()?.reject(error),
      )
      .then(() => {
        this.#isDecompressing = false;
        this.#answerAsked();
      });
  }

  #takeEnd(error: unknown): IteratorResult<T> {
    try {
      if (error) throw error;
      this.#waiting.finish();
      return { done: true, value: undefined };
    } finally {
      this.#close();
    }
  }

  /** What comes after a message that cannot be read means nothing. */
  #break(error: unknown): never {
    this.#close();
    this.#options.onBroken(error);
    throw error;
  }

  /** Nothing more is given out, and no error told. */
  #close(): void {
    this.#end = { error: undefined };
    this.#waiting.close();
  }

  return(): Promise<IteratorResult<T>> {
    const wasOver = this.#end !== undefined;
    this.#close();
    if (!wasOver) this.#options.onLeft();
    this.#answerAsked();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
