import type { DescMethod } from "@bufbuild/protobuf";
import type {
  ContextValues,
  HandlerContext,
  StreamRequest,
  StreamResponse,
  UnaryRequest,
  UnaryResponse,
} from "@connectrpc/connect";
import { MAX_TIMER_MS } from "../core/clock.ts";
import { parseGrpcTimeout } from "../core/grpc-timeout.ts";

/** What a handler says beside its messages. */
export interface Said {
  readonly header: Headers | undefined;
  readonly trailer: Headers | undefined;
}

/** What a handler sees of its call. Headers are made when somebody looks at them: most calls pass without. */
export class CallContext implements HandlerContext {
  readonly protocolName = "grpc";
  readonly #request: UnaryRequest | StreamRequest;
  readonly #begunMs = performance.now();
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;

  constructor(request: UnaryRequest | StreamRequest) {
    this.#request = request;
  }

  get method(): DescMethod {
    return this.#request.method;
  }

  get service() {
    return this.#request.service;
  }

  get signal(): AbortSignal {
    return this.#request.signal;
  }

  get requestMethod(): string {
    return this.#request.requestMethod;
  }

  get requestHeader(): Headers {
    return this.#request.header;
  }

  get url(): string {
    return this.#request.url;
  }

  get values(): ContextValues {
    return this.#request.contextValues;
  }

  get responseHeader(): Headers {
    this.#responseHeader ??= new Headers();
    return this.#responseHeader;
  }

  get responseTrailer(): Headers {
    this.#responseTrailer ??= new Headers();
    return this.#responseTrailer;
  }

  /** A function of its own each time, for who takes it out of the context. */
  get timeoutMs(): () => number | undefined {
    return () => {
      const allowed = this.#request.header.get("grpc-timeout");
      const timeoutMs = allowed === null ? undefined : parseGrpcTimeout(allowed);
      if (timeoutMs === undefined) return undefined;
      // So that a timer can wait for it.
      return Math.min(timeoutMs, MAX_TIMER_MS) - (performance.now() - this.#begunMs);
    };
  }

  /** What the handler has said beside its answer; undefined for nothing. */
  get said(): Said {
    return { header: this.#responseHeader, trailer: this.#responseTrailer };
  }

  answer(message: UnaryResponse["message"]): UnaryResponse {
    return new Answer(this, message) as UnaryResponse;
  }

  answers(messages: StreamResponse["message"]): StreamResponse {
    const { service, method, responseHeader, responseTrailer } = this;
    return {
      stream: true,
      service,
      method,
      header: responseHeader,
      trailer: responseTrailer,
      message: messages,
    } as StreamResponse;
  }
}

/** The answer of a handler as interceptors see it. */
export class Answer {
  readonly stream = false;
  readonly message: UnaryResponse["message"];
  readonly context: CallContext;

  constructor(context: CallContext, message: UnaryResponse["message"]) {
    this.context = context;
    this.message = message;
  }

  get service() {
    return this.context.service;
  }

  get method() {
    return this.context.method;
  }

  get header(): Headers {
    return this.context.responseHeader;
  }

  get trailer(): Headers {
    return this.context.responseTrailer;
  }
}
