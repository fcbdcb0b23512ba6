import { Code, ConnectError, type UnaryRequest, type UnaryResponse } from "@connectrpc/connect";
import type { HeaderField } from "../http2/hpack/header-field.ts";
import { Answer } from "./call-context.ts";
import { decompressed } from "./compressed.ts";
import { identity } from "./compression.ts";
import { COMPRESSED, EnvelopeReader } from "./envelope.ts";
import { envelopeHead, wholeMessage } from "./envelope-head.ts";
import { ServerCall } from "./server-call.ts";

/** One question, and its one answer. */
export class ServerUnaryCall extends ServerCall {
  #message: Uint8Array | undefined;
  #isCompressed = false;
  #reader: EnvelopeReader | undefined;

  onHeaders(_fields: readonly HeaderField[], isEnd: boolean): void {
    if (isEnd) this.#begin();
  }

  onData(chunk: Buffer, start: number, end: number, isEnd: boolean): void {
    if (this.isAnswered) return;
    // A second one is for the reader to refuse.
    const isFirst = this.#reader === undefined && this.#message === undefined;
    const message = isFirst ? wholeMessage(chunk, start, end, this.options.maxMessageBytes) : undefined;
    if (message) this.#take(0, message);
    else if (end > start) this.#gather(chunk, start, end);
    this.taken(end - start);
    if (isEnd) this.#begin();
  }

  #gather(chunk: Buffer, start: number, end: number): void {
    try {
      if (!this.#reader) {
        const take = (flags: number, message: Uint8Array) => this.#take(flags, message);
        this.#reader = new EnvelopeReader(this.options.maxMessageBytes, take);
        this.#reader.mayBeCompressed = this.requestCompression !== identity;
      }
      this.#reader.push(chunk, start, end);
      this.holdNow(this.#reader.buffered);
      this.connection?.widen(this, this.#reader.expected - this.#reader.buffered);
    } catch (error) {
      this.fail(error);
    }
  }

  #take(flags: number, message: Uint8Array): void {
    if (this.#message) {
      const { name } = this.method.desc;
      this.fail(new ConnectError(`${name} takes one message, and got more`, Code.Unimplemented));
      return;
    }
    this.#message = message;
    this.#isCompressed = (flags & COMPRESSED) !== 0;
  }

  #begin(): void {
    if (this.isAnswered) return;
    try {
      this.#reader?.finish();
      const bytes = this.#message;
      if (!bytes) {
        throw new ConnectError(`${this.method.desc.name} takes a message, and got none`, Code.Unimplemented);
      }
      if (!this.#isCompressed) {
        this.#handle(bytes);
        return;
      }
      decompressed(bytes, this.fields, this.options.maxMessageBytes).then(
        (whole) => this.#handle(whole),
        (error) => this.fail(error),
      );
    } catch (error) {
      this.fail(error);
    }
  }

  #handle(bytes: Uint8Array): void {
    if (this.isAnswered) return;
    this.isRunning = true;
    // What parsing throws is an error of the call's as well.
    let running: Promise<unknown>;
    try {
      if (!this.options.leavesUnaryDeadlines) this.watchDeadline();
      running = this.method.handle(this.request(false, this.parse(bytes)) as UnaryRequest);
    } catch (error) {
      this.isRunning = false;
      this.fail(error);
      return;
    }
    running.then(
      (response) => {
        this.handlerEnded();
        this.#respond(response as UnaryResponse);
      },
      (error) => {
        this.handlerEnded();
        this.fail(error);
      },
    );
  }

  #respond(response: UnaryResponse): void {
    if (this.isAnswered) return;
    const { header, trailer } = response instanceof Answer ? response.context.said : response;
    try {
      const bytes = this.serialize(response.message);
      const { compression } = this;
      if (compression === identity) {
        this.#send(0, bytes, header, trailer);
        return;
      }
      compression
        .compress(bytes)
        .then((small) => this.#send(COMPRESSED, small, header, trailer))
        .catch((error) => this.fail(error));
    } catch (error) {
      this.fail(error);
    }
  }

  #send(flags: number, bytes: Uint8Array, header: Headers | undefined, trailer: Headers | undefined): void {
    if (this.isAnswered) return;
    this.beginAnswer(header, flags === 0 ? identity : this.compression);
    this.send(envelopeHead(flags, bytes.length), bytes, false);
    this.answer(undefined, undefined, trailer);
  }
}
