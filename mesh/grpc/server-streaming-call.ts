import type { ConnectError, StreamResponse } from "@connectrpc/connect";
import type { HeaderField } from "../http2/hpack/header-field.ts";
import type { StreamError } from "../http2/http2-error.ts";
import { identity } from "./compression.ts";
import { IncomingMessages } from "./incoming-messages.ts";
import { sendMessages } from "./outgoing-messages.ts";
import { ANSWERED, ServerCall } from "./server-call.ts";

/** A call in which at least one side says more than one thing. Its handler begins when its headers have come. */
export class ServerStreamingCall extends ServerCall {
  #messages: IncomingMessages<object> | undefined;
  #onDrain: (() => void) | undefined;

  onHeaders(fields: readonly HeaderField[], isEnd: boolean): void {
    // Trailers of a request say nothing in gRPC.
    if (this.#messages) {
      this.#messages.end(undefined);
      return;
    }
    const messages = new IncomingMessages<object>(this, {
      maxMessageBytes: this.options.maxMessageBytes,
      parse: (bytes) => this.parse(bytes),
      // Who reads no more may still answer.
      onLeft: () => {},
      onBroken: (error) => this.leave(error as ConnectError),
    });
    this.#messages = messages;
    messages.encodedAs(fields, this.requestCompression !== identity);
    if (isEnd) messages.end(undefined);
    this.#run(messages).catch((error) => this.fail(error));
  }

  async #run(messages: IncomingMessages<object>): Promise<void> {
    let response: StreamResponse | undefined;
    this.isRunning = true;
    try {
      this.watchDeadline();
      response = (await this.method.handle(this.request(true, messages) as never)) as StreamResponse;
      await this.#sendAll(response);
      this.handlerEnded();
      this.beginAnswer(response.header, identity);
      // They are whole only now.
      this.answer(undefined, undefined, response.trailer);
    } catch (error) {
      this.handlerEnded();
      this.fail(error);
    } finally {
      messages.end(ANSWERED);
      messages.discard();
    }
  }

  #sendAll(response: StreamResponse): Promise<void> {
    const { compression } = this;
    return sendMessages(this, response.message, {
      compression,
      isOver: () => this.isAnswered,
      serialize: (message) => {
        const bytes = this.serialize(message);
        this.beginAnswer(response.header, compression);
        return bytes;
      },
      whenDrained: () =>
        new Promise((resolve) => {
          this.#onDrain = resolve;
        }),
    });
  }

  override get progress(): number | undefined {
    return this.isRemoteEnded ? undefined : this.#messages?.progress;
  }

  override onDrain(): void {
    super.onDrain();
    this.#onDrain?.();
    this.#onDrain = undefined;
  }

  onData(chunk: Buffer, start: number, end: number, isEnd: boolean): void {
    if (this.isAnswered) return;
    try {
      this.#messages?.push(chunk, start, end);
    } catch (error) {
      this.#messages?.end(error);
      this.leave(error as ConnectError);
      return;
    }
    if (isEnd) this.#messages?.end(undefined);
  }

  protected override leave(error: ConnectError): void {
    super.leave(error);
    this.#messages?.end(error);
    this.onDrain();
  }

  override onFailure(error: StreamError): void {
    super.onFailure(error);
    this.#messages?.end(this.ending.reason);
    this.onDrain();
  }
}
