import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { MAX_TIMER_MS } from "../core/clock.ts";
import { onAbort } from "../core/signal.ts";
import { ClientStream } from "../http2/client.ts";
import type { ClientConnection } from "../http2/client-connection.ts";
import { ErrorCode } from "../http2/error-code.ts";
import type { HeaderField } from "../http2/hpack/header-field.ts";
import type { StreamError } from "../http2/http2-error.ts";
import { answerProblem } from "./answer-head.ts";
import { canceled, deadlineExceeded, saidBefore, toCallError } from "./call-error.ts";
import { mayBeCompressed } from "./compressed.ts";
import type { Compression } from "./compression.ts";
import { IncomingMessages } from "./incoming-messages.ts";
import { appendFields } from "./metadata.ts";
import { sendMessages } from "./outgoing-messages.ts";
import { fromTrailers, isOk } from "./status.ts";
import type { WireMethod } from "./wire-method.ts";

/** What a call that streams is made of. */
export interface StreamingRequestParts {
  readonly method: WireMethod;
  /** The headers beside those of the method. */
  readonly fields: readonly HeaderField[];
  readonly messages: AsyncIterable<MessageShape<DescMessage>>;
  readonly compression: Compression;
  readonly maxMessageBytes: number;
  /** Undefined for ever. */
  readonly timeoutMs: number | undefined;
  readonly signal: AbortSignal | undefined;
  /** Takes it out of the queue of those that wait for a connection. */
  readonly forget: (call: StreamingCall) => void;
}

/** A call in which at least one side says more than one thing. */
export class StreamingCall extends ClientStream {
  /** The headers have come, or the call is over before. Never rejects: what went wrong, the messages tell. */
  readonly begun: Promise<void>;
  header: readonly HeaderField[] = [];
  /** Gets the trailers when they have come. */
  readonly trailer = new Headers();
  readonly messages: IncomingMessages<MessageShape<DescMessage>>;
  readonly #request: StreamingRequestParts;
  readonly #begin: () => void;
  readonly #leave: () => void;
  #timer: NodeJS.Timeout | undefined;
  #deadlineMs = Number.POSITIVE_INFINITY;
  #isOver = false;
  #onDrain: (() => void) | undefined;

  constructor(request: StreamingRequestParts) {
    super();
    this.#request = request;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.begun = promise;
    this.#begin = resolve;
    const { method, maxMessageBytes, signal, timeoutMs } = request;
    this.messages = new IncomingMessages(this, {
      maxMessageBytes,
      parse: (bytes) => method.answer.parse(bytes),
      onLeft: () => this.#abandon(new ConnectError("the caller has left", Code.Canceled)),
      onBroken: (error) => this.#abandon(error),
    });
    this.#leave = signal ? onAbort(signal, () => this.#abandon(canceled(signal.reason))) : () => {};
    if (timeoutMs !== undefined) {
      this.#deadlineMs = performance.now() + timeoutMs;
      this.#timer = setTimeout(() => this.#abandon(deadlineExceeded()), Math.min(timeoutMs, MAX_TIMER_MS));
    }
  }

  begin(connection: ClientConnection): void {
    const { method, fields, messages, compression } = this.#request;
    connection.open(this, method.headers(connection), false, fields);
    sendMessages(this, messages, {
      compression,
      isOver: () => this.#isOver,
      serialize: (message) => method.request.serialize(message),
      whenDrained: () =>
        new Promise((resolve) => {
          this.#onDrain = resolve;
        }),
    }).then(
      () => this.send(EMPTY, EMPTY, true),
      (error) => this.#abandon(unsaid(error)),
    );
  }

  override onDrain(): void {
    this.#onDrain?.();
    this.#onDrain = undefined;
  }

  onHeaders(fields: readonly HeaderField[], isEnd: boolean): void {
    if (!this.#isOver && this.header.length === 0) {
      this.header = fields;
      const problem = answerProblem(fields, this.#request.method.format, isEnd);
      if (problem) {
        this.#abandon(problem);
        return;
      }
      this.messages.encodedAs(fields, mayBeCompressed(fields));
      if (!isEnd) {
        this.#begin();
        return;
      }
      this.header = [];
    }
    appendFields(this.trailer, fields);
    const error = isOk(fields) ? undefined : fromTrailers(fields);
    this.#end(error && saidBefore(error, this.header));
  }

  onData(chunk: Buffer, start: number, end: number, isEnd: boolean): void {
    try {
      this.messages.push(chunk, start, end);
    } catch (error) {
      this.#abandon(error);
      return;
    }
    if (isEnd) this.#end(new ConnectError("the answer ended without trailers", Code.Internal));
  }

  onFailure(error: StreamError): void {
    this.#end(toCallError(error, this.#deadlineMs));
  }

  #end(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    // The server says nothing more, so nobody reads what we would say.
    if (this.isOpen) this.reset(ErrorCode.NO_ERROR);
    this.#over(error);
  }

  /** Ends the call from this side. */
  #abandon(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.isOpen) this.reset(ErrorCode.CANCEL);
    else this.#request.forget(this);
    this.messages.discard();
    this.#over(error);
  }

  #over(error: unknown): void {
    clearTimeout(this.#timer);
    this.#leave();
    this.messages.end(error);
    this.#begin();
    this.onDrain();
  }
}

const EMPTY = new Uint8Array(0);

/** What a call ends with whose questions could not all be made: its server is told that nobody waits, and so is its caller. */
function unsaid(error: unknown): ConnectError {
  return error instanceof ConnectError
    ? error
    : new ConnectError("the questions ended with an error", Code.Canceled, undefined, undefined, error);
}
