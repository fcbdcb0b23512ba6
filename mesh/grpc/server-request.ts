import type { DescMethod } from "@bufbuild/protobuf";
import type { ContextValues } from "@connectrpc/connect";
import type { CallContext } from "./call-context.ts";
import type { ServerMethod } from "./server-method.ts";

/** The call that a request is of. */
export interface CallOfRequest {
  readonly method: ServerMethod;
  readonly header: Headers;
  readonly signal: AbortSignal;
  /** What the handler sees, once it runs: so that the call knows what it had said when it fails. */
  context: CallContext | undefined;
}

/** Where a request says whose it is. */
export const CALL = Symbol("call");

/**
 * A request as interceptors and handlers see it. Its headers and its signal are made when somebody looks at them: most calls
 * pass without, and both are dear.
 */
export class ServerRequest<S extends boolean, M> {
  readonly stream: S;
  readonly message: M;
  readonly contextValues: ContextValues;
  readonly service: DescMethod["parent"];
  readonly method: DescMethod;
  readonly requestMethod = "POST";
  readonly url: string;
  readonly [CALL]: CallOfRequest;

  constructor(call: CallOfRequest, contextValues: ContextValues, stream: S, message: M) {
    const { desc, url } = call.method;
    this.stream = stream;
    this.message = message;
    this.contextValues = contextValues;
    this.service = desc.parent;
    this.method = desc;
    this.url = url;
    this[CALL] = call;
  }

  get header(): Headers {
    return this[CALL].header;
  }

  get signal(): AbortSignal {
    return this[CALL].signal;
  }
}

/**
 * The same request, whole: a copy that an interceptor has made by spreading has not what is made when somebody looks, and gets
 * it back, unless it brings its own.
 */
export function whole<R extends object>(request: R): R {
  if (request instanceof ServerRequest) return request;
  const call = (request as { [CALL]?: CallOfRequest })[CALL];
  if (!call) return request;
  for (const name of ["header", "signal"] as const) {
    if (name in request) continue;
    Object.defineProperty(request, name, { get: () => call[name], enumerable: true, configurable: true });
  }
  return request;
}
