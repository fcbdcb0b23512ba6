import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type UnaryResponse } from "@connectrpc/connect";
import { MAX_TIMER_MS } from "../core/clock.ts";
import { type LazyAbort, onEither } from "../core/signal.ts";
import { ClientStream } from "../http2/client.ts";
import type { ClientConnection } from "../http2/client-connection.ts";
import { ErrorCode } from "../http2/error-code.ts";
import type { HeaderField } from "../http2/hpack/header-field.ts";
import type { StreamError } from "../http2/http2-error.ts";
import { answerProblem } from "./answer-head.ts";
import { canceled, deadlineExceeded, saidBefore, toCallError } from "./call-error.ts";
import { decompressed, mayBeCompressed } from "./compressed.ts";
import { COMPRESSED, EnvelopeReader } from "./envelope.ts";
import { envelopeHead, wholeMessage } from "./envelope-head.ts";
import { toHeaders } from "./metadata.ts";
import { fromTrailers, isOk } from "./status.ts";
import type { WireMethod } from "./wire-method.ts";

/** What a unary call is made of. */
export interface UnaryRequestParts {
  readonly method: WireMethod;
  /** The headers beside those of the method. */
  readonly fields: readonly HeaderField[];
  readonly body: Uint8Array;
  readonly isCompressed: boolean;
  readonly maxMessageBytes: number;
  /** Undefined for ever. */
  readonly timeoutMs: number | undefined;
  readonly ending: AbortSignal | LazyAbort | undefined;
}

type Answer = UnaryResponse<DescMessage, DescMessage>;

/** One question, and its one answer. */
export class UnaryCall extends ClientStream {
  readonly #request: UnaryRequestParts;
  readonly #resolve: (answer: Answer) => void;
  readonly #reject: (error: unknown) => void;
  /** Takes it out of the queue of those that wait for a connection. */
  readonly #forget: (call: UnaryCall) => void;
  readonly #leave: () => void;
  #timer: NodeJS.Timeout | undefined;
  #deadlineMs = Number.POSITIVE_INFINITY;
  #isSettled = false;
  #header: readonly HeaderField[] | undefined;
  #message: Uint8Array | undefined;
  #isMessageCompressed = false;
  #reader: EnvelopeReader | undefined;

  constructor(
    request: UnaryRequestParts,
    resolve: (answer: Answer) => void,
    reject: (error: unknown) => void,
    forget: (call: UnaryCall) => void,
  ) {
    super();
    this.#request = request;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#forget = forget;
    const { ending, timeoutMs } = request;
    this.#leave = ending ? onEither(ending, () => this.#abandon(canceled(ending.reason))) : nothing;
    if (timeoutMs !== undefined) {
      this.#deadlineMs = performance.now() + timeoutMs;
      this.#timer = setTimeout(overdue, Math.min(timeoutMs, MAX_TIMER_MS), this);
    }
  }

  begin(connection: ClientConnection): void {
    const { method, fields, body, isCompressed } = this.#request;
    connection.open(this, method.headers(connection), false, fields);
    this.send(envelopeHead(isCompressed ? COMPRESSED : 0, body.length), body, true);
  }

  onHeaders(fields: readonly HeaderField[], isEnd: boolean): void {
    if (this.#header !== undefined) {
      this.#end(fields);
      return;
    }
    this.#header = fields;
    const problem = answerProblem(fields, this.#request.method.format, isEnd);
    if (problem) this.#abandon(problem);
    else if (isEnd) this.#end(fields);
  }

  onData(chunk: Buffer, start: number, end: number, isEnd: boolean): void {
    const message = this.#reader ? undefined : wholeMessage(chunk, start, end, this.#request.maxMessageBytes);
    if (message) this.#take(0, message);
    else this.#gather(chunk, start, end);
    this.taken(end - start);
    if (isEnd) this.#abandon(new ConnectError("the answer ended without trailers", Code.Internal));
  }

  #gather(chunk: Buffer, start: number, end: number): void {
    try {
      const reader = this.#reader ?? this.#newReader();
      reader.push(chunk, start, end);
      this.connection?.widen(this, reader.expected - reader.buffered);
    } catch (error) {
      this.#abandon(error);
    }
  }

  #newReader(): EnvelopeReader {
    const take = (flags: number, message: Uint8Array) => this.#take(flags, message);
    this.#reader = new EnvelopeReader(this.#request.maxMessageBytes, take);
    this.#reader.mayBeCompressed = mayBeCompressed(this.#header ?? []);
    return this.#reader;
  }

  #take(flags: number, message: Uint8Array): void {
    if (this.#message) {
      this.#abandon(new ConnectError("more than one answer to one question", Code.Unimplemented));
      return;
    }
    this.#message = message;
    this.#isMessageCompressed = (flags & COMPRESSED) !== 0;
  }

  #end(trailers: readonly HeaderField[]): void {
    if (this.#isSettled) return;
    this.#settled();
    // The server has its answer out before it has read all: it need not read on.
    if (this.isOpen) this.reset(ErrorCode.NO_ERROR);
    const error = isOk(trailers) ? undefined : fromTrailers(trailers);
    if (error) {
      this.#reject(this.#header === trailers ? error : saidBefore(error, this.#header ?? []));
      return;
    }
    try {
      this.#reader?.finish();
      if (!this.#message) throw new ConnectError("no answer, and no error", Code.Unimplemented);
      this.#answer(this.#message, trailers);
    } catch (failed) {
      this.#reject(failed);
    }
  }

  #answer(bytes: Uint8Array, trailers: readonly HeaderField[]): void {
    const { method, maxMessageBytes } = this.#request;
    const header = this.#header as readonly HeaderField[];
    if (!this.#isMessageCompressed) {
      this.#resolve(new LazyAnswer(method, method.answer.parse(bytes), header, trailers));
      return;
    }
    decompressed(bytes, header, maxMessageBytes)
      .then((whole) => method.answer.parse(whole))
      .then((message) => this.#resolve(new LazyAnswer(method, message, header, trailers)))
      .catch(this.#reject);
  }

  onFailure(error: StreamError): void {
    if (this.#isSettled) return;
    this.#settled();
    this.#reject(toCallError(error, this.#deadlineMs));
  }

  /** Ends the call from this side. */
  #abandon(error: unknown): void {
    if (this.#isSettled) return;
    this.#settled();
    if (this.isOpen) this.reset(ErrorCode.CANCEL);
    else this.#forget(this);
    this.#reject(error);
  }

  #settled(): void {
    this.#isSettled = true;
    if (this.#timer) clearTimeout(this.#timer);
    this.#leave();
  }

  static exceed(call: UnaryCall): void {
    call.#abandon(deadlineExceeded());
  }
}

const overdue = UnaryCall.exceed;
const nothing = () => {};

/** An answer whose headers are made when somebody looks at them: most calls pass without, and `Headers` are dear. */
class LazyAnswer implements Answer {
  readonly stream = false;
  readonly message: MessageShape<DescMessage>;
  readonly #method: WireMethod;
  readonly #header: readonly HeaderField[];
  readonly #trailers: readonly HeaderField[];
  #madeHeader: Headers | undefined;
  #madeTrailer: Headers | undefined;

  constructor(
    method: WireMethod,
    message: MessageShape<DescMessage>,
    header: readonly HeaderField[],
    trailers: readonly HeaderField[],
  ) {
    this.#method = method;
    this.message = message;
    this.#header = header;
    this.#trailers = trailers;
  }

  get method() {
    return this.#method.desc as Answer["method"];
  }

  get service() {
    return this.#method.desc.parent;
  }

  get header(): Headers {
    this.#madeHeader ??= this.#header === this.#trailers ? new Headers() : toHeaders(this.#header);
    return this.#madeHeader;
  }

  get trailer(): Headers {
    this.#madeTrailer ??= toHeaders(this.#trailers);
    return this.#madeTrailer;
  }
}
