import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type UnaryRequest, type UnaryResponse } from "@connectrpc/connect";
import type { HeaderField } from "../http2/hpack/header-field.ts";
import { Answer, CallContext, type Said } from "./call-context.ts";
import { decompressed } from "./compressed.ts";
import { identity } from "./compression.ts";
import { COMPRESSED, EnvelopeReader } from "./envelope.ts";
import { envelopeHead, wholeMessage } from "./envelope-head.ts";
import { ServerCall } from "./server-call.ts";
import type { ServerMethod } from "./server-method.ts";

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
    // Most questions are whole at once, and then whoever handles them looks at the time.
    else this.watchDeadline();
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

  override get progress(): number | undefined {
    return this.isAnswered || this.isRemoteEnded ? undefined : (this.#reader?.buffered ?? 0);
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
      // It may wait until others have been decompressed.
      this.holdNow(bytes.length);
      decompressed(bytes, this.fields, this.options.maxMessageBytes).then(
        (whole) => {
          this.hold(0);
          this.#handle(whole);
        },
        (error) => this.fail(error),
      );
    } catch (error) {
      this.fail(error);
    }
  }

  #handle(bytes: Uint8Array): void {
    if (this.isAnswered) return;
    this.isRunning = true;
    try {
      if (this.options.leavesUnaryDeadlines) this.leaveDeadline();
      else this.watchDeadline();
      const request = this.request(false, this.parse(bytes)) as UnaryRequest;
      const { direct } = this.method;
      if (direct) this.#handleDirectly(direct, request);
      else
        this.#whenDone(this.method.handle(request), (response) => this.#respond(response as UnaryResponse));
    } catch (error) {
      // What parsing throws is an error of the call's as well.
      this.handlerEnded();
      this.fail(error);
    }
  }

  #handleDirectly(direct: NonNullable<ServerMethod["direct"]>, request: UnaryRequest): void {
    const context = new CallContext(request);
    this.context = context;
    const made = direct(request.message, context);
    if (isPromise(made)) {
      this.#whenDone(made, (message) => this.#answerWith(message, context.said));
      return;
    }
    this.handlerEnded();
    this.#answerWith(made, context.said);
  }

  #whenDone<T>(running: Promise<T>, act: (made: T) => void): void {
    running.then(
      (made) => {
        this.handlerEnded();
        act(made);
      },
      (error) => {
        this.handlerEnded();
        this.fail(error);
      },
    );
  }

  #respond(response: UnaryResponse): void {
    this.#answerWith(response.message, response instanceof Answer ? response.context.said : response);
  }

  #answerWith(made: MessageInitShape<DescMessage>, { header, trailer }: Said): void {
    if (this.isAnswered) return;
    try {
      const bytes = this.serialize(create(this.method.desc.output, made));
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

/** A message may have a field of that name, but none that is a function. */
function isPromise<T>(made: T | Promise<T>): made is Promise<T> {
  return typeof (made as { readonly then?: unknown }).then === "function";
}
