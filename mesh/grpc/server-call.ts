import type { DescMessage, MessageShape, Registry } from "@bufbuild/protobuf";
import { Code, ConnectError, type ContextValues } from "@connectrpc/connect";
import { MAX_TIMER_MS } from "../core/clock.ts";
import { parseGrpcTimeout } from "../core/grpc-timeout.ts";
import { LazyAbort } from "../core/signal.ts";
import type { HeaderField } from "../http2/hpack/header-field.ts";
import type { HeaderTemplate } from "../http2/hpack/header-template.ts";
import type { StreamError } from "../http2/http2-error.ts";
import { Stream } from "../http2/stream.ts";
import type { CallContext } from "./call-context.ts";
import { canceled, deadlineExceeded } from "./call-error.ts";
import { codecOf } from "./codec.ts";
import { acceptEncoding, type Compression, chooseCompression, identity } from "./compression.ts";
import type { Format } from "./content-type.ts";
import { findValue, toFields, toHeaders, toLegalFields } from "./metadata.ts";
import type { ServerMethod } from "./server-method.ts";
import { type CallOfRequest, ServerRequest } from "./server-request.ts";
import { toTrailers } from "./status.ts";

/** What the calls of a server have in common. */
export interface ServerCallOptions {
  readonly maxMessageBytes: number;
  /** Where JSON finds what is in an `Any`. */
  readonly registry: Registry | undefined;
  /** Interceptors answer unary calls at their deadlines. */
  readonly leavesUnaryDeadlines: boolean;
  /** Learns how many handlers run whose calls have been answered without them, one more or one less. */
  readonly onAbandoned: (change: 1 | -1) => void;
}

/** A call as the server has it: what is the same whether it streams or not. */
export abstract class ServerCall extends Stream implements CallOfRequest {
  /** What the handler sees, once it runs. */
  context: CallContext | undefined;
  readonly method: ServerMethod;
  /** How the request is compressed. */
  protected readonly requestCompression: Compression;
  readonly #format: Format;
  /** As the caller wrote it. */
  readonly #contentType: HeaderField;
  protected readonly fields: readonly HeaderField[];
  protected readonly options: ServerCallOptions;
  /** Ends what the handler does. */
  protected readonly ending = new LazyAbort();
  protected isAnswered = false;
  /** The handler has begun, and has not ended. */
  protected isRunning = false;
  readonly #values: ContextValues;
  #header: Headers | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isWatched = false;
  #hasBegunAnswer = false;
  #isAbandoned = false;

  constructor(
    method: ServerMethod,
    format: Format,
    requestCompression: Compression,
    fields: readonly HeaderField[],
    values: ContextValues,
    options: ServerCallOptions,
  ) {
    super();
    this.method = method;
    this.#format = format;
    this.#contentType = fields.find(({ name }) => name === "content-type") as HeaderField;
    this.requestCompression = requestCompression;
    this.fields = fields;
    this.options = options;
    this.#values = values;
  }

  /** Answers at the deadline, whatever the handler does. Safe to call again and again. */
  protected watchDeadline(): void {
    if (this.#isWatched || this.isAnswered) return;
    this.#isWatched = true;
    const said = findValue(this.fields, "grpc-timeout");
    if (said === undefined) return;
    const timeoutMs = parseGrpcTimeout(said) ?? MAX_TIMER_MS;
    this.#timer = setTimeout(() => this.leave(deadlineExceeded()), Math.min(timeoutMs, MAX_TIMER_MS));
  }

  /** Leaves the deadline to somebody else. */
  protected leaveDeadline(): void {
    clearTimeout(this.#timer);
  }

  get header(): Headers {
    this.#header ??= toHeaders(this.fields);
    return this.#header;
  }

  get signal(): AbortSignal {
    return this.ending.signal;
  }

  protected request<S extends boolean, M>(stream: S, message: M): ServerRequest<S, M> {
    return new ServerRequest(this, this.#values, stream, message);
  }

  /** How answers are compressed: as the request is, if its caller reads that. */
  protected get compression(): Compression {
    if (this.requestCompression === identity) return identity;
    return chooseCompression(findValue(this.fields, "grpc-accept-encoding"), this.requestCompression);
  }

  protected parse(bytes: Uint8Array): MessageShape<DescMessage> {
    return codecOf(this.method.desc.input, this.#format, this.options.registry).parse(bytes);
  }

  protected serialize(message: MessageShape<DescMessage>): Uint8Array {
    return codecOf(this.method.desc.output, this.#format, this.options.registry).serialize(message);
  }

  /** Throws INTERNAL for a header that gRPC cannot carry; then it has not begun. */
  protected beginAnswer(header: Headers | undefined, compression: Compression): void {
    if (this.#hasBegunAnswer || this.isAnswered) return;
    this.#sendHead(compression, header && toFields(header));
  }

  #sendHead(compression: Compression, more: readonly HeaderField[] | undefined): void {
    this.#hasBegunAnswer = true;
    if (compression === identity && USUAL_TYPES.has(this.#contentType.value)) {
      const head = this.#template(this.#contentType.value, this.#head(identity));
      this.connection?.sendHeaders(this, head, false, more);
    } else this.sendHeaders([...this.#head(compression), ...(more ?? [])], false);
  }

  /** Headers that are the same with most calls of a connection, encoded once. */
  #template(key: unknown, fields: readonly HeaderField[]): readonly HeaderField[] | HeaderTemplate {
    const { connection } = this;
    return connection ? connection.templateOf(key, fields) : fields;
  }

  #head(compression: Compression): HeaderField[] {
    const head = [STATUS_200, this.#contentType];
    return compression === identity
      ? head
      : [...head, { name: "grpc-encoding", value: compression.name }, ACCEPT];
  }

  /**
   * Ends the call; an error before any message goes without headers of its own (Trailers-Only, which gRFC A6 needs). Throws
   * INTERNAL for metadata that gRPC cannot carry, but never beside an error: that must arrive.
   */
  protected answer(error: ConnectError | undefined, header?: Headers, trailer?: Headers): void {
    if (this.isAnswered) return;
    const fieldsOf = error ? toLegalFields : toFields;
    const said = trailer ? fieldsOf(trailer) : [];
    // Headers of the handler's own are a beginning: as trailers, their reader would not find them.
    const more = header && !this.#hasBegunAnswer ? fieldsOf(header) : [];
    this.isAnswered = true;
    clearTimeout(this.#timer);
    if (more.length > 0) this.#sendHead(identity, more);
    if (!this.#hasBegunAnswer)
      this.sendHeaders([...this.#head(identity), ...toTrailers(error), ...said], true);
    else if (error || said.length > 0) this.sendHeaders([...toTrailers(error), ...said], true);
    else this.sendHeaders(this.#template(OK, toTrailers(undefined)), true);
    this.stopReading();
    this.ending.abort(error ?? ANSWERED);
  }

  /** Answers with what a handler or an interceptor threw. */
  protected fail(thrown: unknown): void {
    const { header, trailer } = this.context?.said ?? {};
    this.answer(toError(thrown), header, trailer);
  }

  /** Answers without the handler. */
  protected leave(error: ConnectError): void {
    if (this.isAnswered) return;
    this.#abandon();
    this.answer(error);
  }

  #abandon(): void {
    if (!this.isRunning) return;
    this.#isAbandoned = true;
    this.options.onAbandoned(1);
  }

  /** The handler has ended. Safe to call twice. */
  protected handlerEnded(): void {
    if (!this.isRunning) return;
    this.isRunning = false;
    if (this.#isAbandoned) this.options.onAbandoned(-1);
  }

  /** Counts what is held of a message in part. Throws RESOURCE_EXHAUSTED if that is more than one connection may have. */
  protected holdNow(bytes: number): void {
    if (this.hold(bytes)) return;
    throw new ConnectError("this connection has too much under way", Code.ResourceExhausted);
  }

  onFailure(error: StreamError): void {
    if (this.isAnswered) return;
    this.isAnswered = true;
    clearTimeout(this.#timer);
    this.#abandon();
    this.ending.abort(canceled(error));
  }
}

const STATUS_200: HeaderField = { name: ":status", value: "200" };
const ACCEPT: HeaderField = { name: "grpc-accept-encoding", value: acceptEncoding() };
const OK = Symbol("ok");
/** Whatever else a caller writes is not worth remembering. */
const USUAL_TYPES = new Set(["application/grpc", "application/grpc+proto", "application/grpc+json"]);
/** What is left of a call ends with it: one error for all of them, since who ends many calls must not cost much. */
export const ANSWERED = new ConnectError("the call has been answered", Code.Canceled);

/** What is no error of ours says nothing to a caller. */
export function toError(thrown: unknown): ConnectError {
  return thrown instanceof ConnectError
    ? thrown
    : new ConnectError("internal error", Code.Internal, undefined, undefined, thrown);
}
