import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createMethodImplSpec,
  createServiceImplSpec,
  type HandlerContext,
  type Interceptor,
  type MethodImplSpec,
  type StreamRequest,
  type StreamResponse,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import { CallContext } from "./call-context.ts";
import { CreatedMessages } from "./created-messages.ts";
import { CALL, type CallOfRequest, whole } from "./server-request.ts";

type AnyRequest = UnaryRequest | StreamRequest;
type AnyResponse = UnaryResponse | StreamResponse;

type UnaryHandler = Extract<MethodImplSpec, { kind: "unary" }>["impl"];

/** A method with its handler, below its interceptors. */
export interface ServerMethod {
  readonly desc: DescMethod;
  readonly path: string;
  /** As requests say it: whom it was asked of is the caller's to choose, so nothing may depend on that. */
  readonly url: string;
  readonly handle: (request: AnyRequest) => Promise<AnyResponse>;
  /** The handler itself, if it is unary and nothing stands above it: then an answer that is there at once waits for nobody. */
  readonly direct: UnaryHandler | undefined;
}

/**
 * The methods of what `routes` registers, by their paths. The first interceptor is the outermost; they are applied once,
 * not for each call. Throws for options of single services, which this server has not.
 */
export function serverMethods(
  routes: (router: ConnectRouter) => void,
  interceptors: readonly Interceptor[],
): Map<string, ServerMethod> {
  const methods = new Map<string, ServerMethod>();
  function add(spec: MethodImplSpec): void {
    const path = `/${spec.method.parent.typeName}/${spec.method.name}`;
    const handle = interceptors.reduceRight<ServerMethod["handle"]>(
      (next, interceptor) =>
        interceptor(((request: AnyRequest) => next(whole(request))) as never) as ServerMethod["handle"],
      (request) => invoke(spec, request),
    );
    const direct = interceptors.length === 0 && spec.kind === "unary" ? spec.impl : undefined;
    methods.set(path, { desc: spec.method, path, url: `http://service.invalid${path}`, handle, direct });
  }
  const router: ConnectRouter = {
    handlers: [],
    service(service: DescService, implementation, options) {
      refuseOptions(options);
      const specs = createServiceImplSpec(service, implementation as never).methods;
      for (const spec of Object.values(specs)) add(spec);
      return router;
    },
    rpc(method, implementation, options) {
      refuseOptions(options);
      add(createMethodImplSpec(method, implementation as never));
      return router;
    },
  };
  routes(router);
  return methods;
}

function refuseOptions(options: object | undefined): void {
  if (options && Object.keys(options).length > 0) {
    throw new Error("a service has options of its own, which gRPC here does not look at");
  }
}

function invoke(spec: MethodImplSpec, request: AnyRequest): Promise<AnyResponse> {
  const context = new CallContext(request);
  const call = (request as { [CALL]?: CallOfRequest })[CALL];
  if (call) call.context = context;
  return request.stream ? invokeStream(spec, request, context) : invokeUnary(spec, request, context);
}

async function invokeUnary(
  spec: MethodImplSpec,
  request: UnaryRequest,
  context: CallContext,
): Promise<UnaryResponse> {
  if (spec.kind !== "unary") throw new Error(`${spec.method.name} streams`);
  const message = await spec.impl(request.message, context);
  return context.answer(create(spec.method.output, message));
}

async function invokeStream(
  spec: MethodImplSpec,
  request: StreamRequest,
  context: CallContext,
): Promise<StreamResponse> {
  return context.answers(messagesOf(spec, request, context));
}

function messagesOf(
  spec: MethodImplSpec,
  request: StreamRequest,
  context: HandlerContext,
): AsyncIterable<MessageShape<DescMessage>> {
  const { message } = request;
  const { method } = spec;
  switch (spec.kind) {
    case "unary":
      throw new Error(`${method.name} does not stream`);
    case "client_streaming":
      return answerOf(method.output, () => spec.impl(message, context));
    case "server_streaming":
      return new CreatedMessages(method.output, async () => spec.impl(await only(message, method), context));
    case "bidi_streaming":
      return new CreatedMessages(method.output, async () => spec.impl(message, context));
  }
}

async function* answerOf<O extends DescMessage>(schema: O, handle: () => Promise<MessageInitShape<O>>) {
  yield create(schema, await handle());
}

async function only<T>(messages: AsyncIterable<T>, method: DescMethod): Promise<T> {
  let found: { readonly message: T } | undefined;
  for await (const message of messages) {
    if (found) throw new ConnectError(`${method.name} takes one message, and got more`, Code.Unimplemented);
    found = { message };
  }
  if (!found) throw new ConnectError(`${method.name} takes a message, and got none`, Code.Unimplemented);
  return found.message;
}
