import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type UnaryResponse } from "@connectrpc/connect";
import { MAX_TIMER_MS } from "../core/clock.ts";
import { type LazyAbort, onEither } from "../core/signal.ts";
import { type Client, ClientStream } from "../http2/client.ts";
import type { ClientConnection } from "../http2/client-connection.ts";
import { ErrorCode } from "../http2/error-code.ts";
import type { HeaderField } from "../http2/hpack/header-field.ts";
import type { StreamError } from "../http2/http2-error.ts";
import { canceled, deadlineExceeded, saidBefore, toCallError } from "./call-error.ts";
import { decompressed, mayBeCompressed } from "./compressed.ts";
import { COMPRESSED, EnvelopeReader } from "./envelope.ts";
import { envelopeHead, wholeMessage } from "./envelope-head.ts";
import { toHeaders } from "./metadata.ts";
import { fromTrailers, isOk } from "./status.ts";
import type { WireMethod } from "./wire-method.ts";

/** What the unary calls of a transport have in common. */
export interface UnaryCallOptions {
  readonly client: Client;
  readonly maxMessageBytes: number;
}

type Answer = UnaryResponse<DescMessage, DescMessage>;

const EMPTY = new Uint8Array(0);

/** One question, and its one answer. */
export class UnaryCall extends ClientStream {
  readonly #options: UnaryCallOptions;
  readonly #method: WireMethod;
  /** The headers beside those of the method. */
  readonly #fields: readonly HeaderField[];
  readonly #resolve: (answer: Answer) => void;
  readonly #reject: (error: unknown) => void;
  #body = EMPTY;
  #isCompressed = false;
  #leave: () => void = nothing;
  #timer: NodeJS.Timeout | undefined;
  #deadlineMs = Number.POSITIVE_INFINITY;
  #isSettled = false;
  #header: readonly HeaderField[] | undefined;
  #message: Uint8Array | undefined;
  #isMessageCompressed = false;
  #reader: EnvelopeReader | undefined;

  constructor(
    options: UnaryCallOptions,
    method: WireMethod,
    fields: readonly HeaderField[],
    resolve: (answer: Answer) => void,
    reject: (error: unknown) => void,
  ) {
    super();
    this.#options = options;
    this.#method = method;
    this.#fields = fields;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Ends the call when `ending` aborts, and after the timeout; undefined for never. */
  watch(ending: AbortSignal | LazyAbort | undefined, timeoutMs: number | undefined): void {
    if (ending) this.#leave = onEither(ending, () => this.#abandon(canceled(ending.reason)));
    if (timeoutMs === undefined) return;
    this.#deadlineMs = performance.now() + timeoutMs;
    this.#timer = setTimeout(overdue, Math.min(timeoutMs, MAX_TIMER_MS), this);
  }

  /** Sends the question, as soon as there is a connection. */
  start(body: Uint8Array, isCompressed: boolean): void {
    // Its caller may have left while it was compressed.
    if (this.#isSettled) return;
    this.#body = body as Uint8Array<ArrayBuffer>;
    this.#isCompressed = isCompressed;
    this.#options.client.start(this);
  }

  begin(connection: ClientConnection): void {
    const body = this.#body;
    connection.open(this, this.#method.headers(connection), false, this.#fields);
    this.send(envelopeHead(this.#isCompressed ? COMPRESSED : 0, body.length), body, true);
  }

  onHeaders(fields: readonly HeaderField[], isEnd: boolean): void {
    if (this.#header !== undefined) {
      this.#end(fields);
      return;
    }
    this.#header = fields;
    const problem = this.#method.problemOf(fields, isEnd);
    if (problem) this.#abandon(problem);
    else if (isEnd) this.#end(fields);
  }

  onData(chunk: Buffer, start: number, end: number, isEnd: boolean): void {
    const message = this.#reader ? undefined : wholeMessage(chunk, start, end, this.#options.maxMessageBytes);
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
    this.#reader = new EnvelopeReader(this.#options.maxMessageBytes, take);
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
    const method = this.#method;
    const { maxMessageBytes } = this.#options;
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
    else this.#options.client.forget(this);
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
