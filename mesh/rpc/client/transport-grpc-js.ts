import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ContextValues,
  createContextValues,
  type StreamRequest,
  type StreamResponse,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import { createMethodUrl, runStreamingCall, runUnaryCall } from "@connectrpc/connect/protocol";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import {
  type CallOptions,
  Client,
  credentials,
  Metadata,
  type ServiceError,
  type StatusObject,
  status,
} from "@grpc/grpc-js";
import { MAX_TIMER_MS } from "../../core/clock.ts";
import { type Delivery, DeliveryError } from "../../core/delivery.ts";
import { type LazyAbort, onEither } from "../../core/signal.ts";
import type { Endpoint } from "../../discovery/target.ts";
import type { ClosableTransport, TransportOptions } from "./transport.ts";

// What connect writes into headers for its own transports; grpc-js writes these itself.
const NOT_METADATA =
  /^(content-type|user-agent|te|grpc-timeout|grpc-encoding|grpc-accept-encoding|connect-.*)$/;

// Connect's servers escape these in `grpc-message`, and grpc-js leaves them so: # $ & + , / : ; = ? @
const ESCAPED = /%(?:2[346BCF]|3[ABDF]|40)/g;

/** gRPC over HTTP/2 by `@grpc/grpc-js`, with one connection to one endpoint. */
export function grpcJsTransport(endpoint: Endpoint, options: TransportOptions): ClosableTransport {
  const { interceptors, maxMessageBytes, endingOf } = options;
  const address = `${endpoint.host}:${endpoint.port}`;
  const client = new Client(`dns:///${address}`, credentials.createInsecure(), {
    // Channelz keeps a record of every call.
    "grpc.enable_channelz": 0,
    // What was not begun is for the client stack to send again, to another endpoint, and once.
    "grpc.enable_retries": 0,
    // A peer that is gone without a word is noticed while a call waits for it, as by a watch of its health.
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.initial_reconnect_backoff_ms": 40,
    "grpc.max_reconnect_backoff_ms": 2_000,
    "grpc.max_receive_message_length": maxMessageBytes,
    "grpc.use_local_subchannel_pool": 1,
  });

  const call = <S extends boolean, M>(
    stream: S,
    method: DescMethod,
    header: Parameters<ClosableTransport["unary"]>[3],
    contextValues: ContextValues | undefined,
    message: M,
  ) => ({
    stream,
    service: method.parent,
    method,
    requestMethod: "POST",
    url: createMethodUrl(`http://${address}`, method),
    header: new Headers(header),
    contextValues: contextValues ?? createContextValues(),
    message,
  });

  return {
    close: () => client.close(),
    needsNoSignal: interceptors.length === 0,
    unary(method, signal, timeoutMs, header, input, contextValues) {
      // The client stack watches its time and its caller itself; what connect adds to that costs half of a call.
      if (interceptors.length === 0) {
        const message = create(method.input, input);
        const request = { service: method.parent, method, message, header: asHeaders(header) };
        return unary(client, request, timeoutMs, (contextValues && endingOf?.(contextValues)) ?? signal);
      }
      return runUnaryCall({
        ...limits(signal, timeoutMs),
        interceptors,
        req: { ...call(false as const, method, header, contextValues, input), method },
        next: (request) => unary(client, request, timeoutMs, request.signal),
      });
    },
    stream(method, signal, timeoutMs, header, input, contextValues) {
      return runStreamingCall({
        ...limits(signal, timeoutMs),
        interceptors,
        req: { ...call(true as const, method, header, contextValues, input), method },
        next: (request) => streaming(client, request, timeoutMs),
      });
    },
  };
}

function limits(signal: AbortSignal | undefined, timeoutMs: number | undefined) {
  return { ...(signal && { signal }), ...(timeoutMs !== undefined && { timeoutMs }) };
}

function asHeaders(init: ConstructorParameters<typeof Headers>[0]): Headers {
  return init instanceof Headers ? init : new Headers(init);
}

type Sent<I extends DescMessage, O extends DescMessage> = Pick<
  UnaryRequest<I, O>,
  "method" | "service" | "message" | "header"
>;

function unary<I extends DescMessage, O extends DescMessage>(
  client: Client,
  request: Sent<I, O>,
  timeoutMs: number | undefined,
  ending: AbortSignal | LazyAbort | undefined,
): Promise<UnaryResponse<I, O>> {
  const { method, service, message, header } = request;
  return new Promise((resolve, reject) => {
    if (ending?.aborted) return reject(ConnectError.from(ending.reason, Code.Canceled));
    let answer: MessageShape<O> | undefined;
    let first: Metadata | undefined;
    const limit = callOptions(timeoutMs);
    const call = withoutStack(() =>
      client.makeUnaryRequest<MessageShape<I>, MessageShape<O>>(
        path(request),
        (value) => toBuffer(method.input, value),
        (bytes) => fromBinary(method.output, bytes),
        message,
        toMetadata(header),
        limit,
        (error, value) => {
          answer = value;
          if (error) {
            ended();
            reject(
              ending?.aborted
                ? ConnectError.from(ending.reason, Code.Canceled)
                : toError(error, first, limit.deadline),
            );
          }
        },
      ),
    );
    const ended = ending ? onEither(ending, () => call.cancel()) : () => {};
    call.on("metadata", (metadata: Metadata) => {
      first = metadata;
    });
    // The last event of a call: by then its callback has run.
    call.on("status", ({ code, metadata }) => {
      ended();
      if (code === 0 && answer !== undefined) {
        resolve(respond({ stream: false, service, method, message: answer }, first, metadata));
      }
    });
  });
}

/**
 * grpc-js takes the stack of each call's beginning, for an error that most do not have, and a stack below many asynchronous
 * layers is dear. The error that ours ends with has its own.
 */
function withoutStack<T>(begin: () => T): T {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return begin();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** The response with its headers, which are made when somebody looks at them: most calls pass without. */
function respond<I extends DescMessage, O extends DescMessage>(
  answer: Omit<UnaryResponse<I, O>, "header" | "trailer">,
  first: Metadata | undefined,
  last: Metadata,
): UnaryResponse<I, O> {
  let header: Headers | undefined;
  let trailer: Headers | undefined;
  return {
    ...answer,
    get header() {
      header ??= first ? toHeaders(first) : new Headers();
      return header;
    },
    get trailer() {
      trailer ??= toHeaders(last);
      return trailer;
    },
  };
}

async function streaming<I extends DescMessage, O extends DescMessage>(
  client: Client,
  request: StreamRequest<I, O>,
  timeoutMs: number | undefined,
): Promise<StreamResponse<I, O>> {
  const { method, service, message, header, signal } = request;
  const limit = callOptions(timeoutMs);
  const call = client.makeBidiStreamRequest<MessageShape<I>, MessageShape<O>>(
    path(request),
    (value) => toBuffer(method.input, value),
    (bytes) => fromBinary(method.output, bytes),
    toMetadata(header),
    limit,
  );
  const abort = () => call.cancel();
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();

  const responseHeader = new Headers();
  const trailer = new Headers();
  let first: Metadata | undefined;
  const begun = new Promise<void>((resolve) => {
    call.once("metadata", (metadata: Metadata) => {
      first = metadata;
      copyHeaders(metadata, responseHeader);
      resolve();
    });
    call.once("status", () => resolve());
  });
  const ended = new Promise<StatusObject>((resolve) => {
    call.once("status", (last: StatusObject) => {
      signal.removeEventListener("abort", abort);
      copyHeaders(last.metadata, trailer);
      resolve(last);
    });
  });
  // The status says it too; this listener keeps the error from ending the process.
  call.on("error", () => {});
  send(call, message).catch(abort);
  await begun;
  const answers = received(call, ended, signal, (error) => toError(error, first, limit.deadline));
  return { stream: true, service, method, header: responseHeader, trailer, message: answers };
}

async function send<T>(
  call: { write(v: T): boolean; end(): void } & NodeJS.EventEmitter,
  messages: AsyncIterable<T>,
) {
  for await (const message of messages) {
    if (call.write(message)) continue;
    await new Promise<void>((resolve) => {
      const go = () => {
        call.off("drain", go);
        call.off("close", go);
        call.off("status", go);
        resolve();
      };
      call.once("drain", go);
      call.once("close", go);
      call.once("status", go);
    });
  }
  call.end();
}

async function* received<T>(
  call: AsyncIterable<T>,
  ended: Promise<StatusObject>,
  signal: AbortSignal,
  errorOf: (error: ServiceError) => ConnectError,
): AsyncGenerator<T> {
  try {
    yield* call;
  } catch (error) {
    throw signal.aborted ? (signal.reason ?? error) : errorOf(error as ServiceError);
  }
  // grpc-js tells an error once: one that came before the first answer was asked for looks like the end of the stream.
  const last = await ended;
  if (last.code === 0) return;
  throw signal.aborted ? signal.reason : errorOf(Object.assign(new Error(last.details), last));
}

function path({ service, method }: { service: { typeName: string }; method: { name: string } }): string {
  return `/${service.typeName}/${method.name}`;
}

function toBuffer<T extends DescMessage>(schema: T, message: MessageShape<T>): Buffer {
  const bytes = toBinary(schema, message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function callOptions(timeoutMs: number | undefined): CallOptions & { readonly deadline?: number } {
  return timeoutMs === undefined ? {} : { deadline: Date.now() + Math.min(timeoutMs, MAX_TIMER_MS) };
}

function toMetadata(header: Headers): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of header) {
    if (NOT_METADATA.test(name)) continue;
    metadata.add(name, name.endsWith("-bin") ? Buffer.from(value, "base64") : value);
  }
  return metadata;
}

function toHeaders(metadata: Metadata): Headers {
  const headers = new Headers();
  copyHeaders(metadata, headers);
  return headers;
}

function copyHeaders(metadata: Metadata, headers: Headers): void {
  for (const name of Object.keys(metadata.getMap())) {
    for (const value of metadata.get(name)) {
      headers.append(name, typeof value === "string" ? value : value.toString("base64").replace(/=+$/, ""));
    }
  }
}

/**
 * The error with its details, from the trailers, and with what headers said before; a failure of the connection has none of
 * these, and keeps its cause.
 */
function toError(
  error: ServiceError,
  first: Metadata | undefined,
  deadline = Number.POSITIVE_INFINITY,
): ConnectError {
  const metadata = error.metadata ?? new Metadata();
  // The server's timer was a moment earlier than ours: grpc-go then resets the stream, without a word of why.
  if (error.code === status.CANCELLED && RESET.test(error.details) && Date.now() + ROUNDED_MS >= deadline) {
    return new ConnectError("the operation timed out", Code.DeadlineExceeded, undefined, undefined, error);
  }
  const delivery = first ? undefined : deliveryBehind(error, metadata);
  // An answer that cannot be decompressed is an error without any.
  const text = (error.details ?? error.message).replace(ESCAPED, decodeURIComponent);
  const trailer = toHeaders(metadata);
  trailer.set("grpc-status", String(delivery ? status.UNAVAILABLE : error.code));
  trailer.set("grpc-message", encodeURIComponent(text));
  const found = findTrailerError(trailer) ?? new ConnectError(text, Code.Unknown);
  if (first) copyHeaders(first, found.metadata);
  found.cause = delivery ? new DeliveryError(delivery, error.details, error) : error;
  return found;
}

/** What grpc-js says of RST_STREAM with CANCEL, if no status came before. */
const RESET = /^Call cancelled$/;
/** By how much less than it has a call may tell its server, and the precision of timers. */
const ROUNDED_MS = 2;

/** grpc-js says it in words only; a server that says the same words sends headers with them. */
function deliveryBehind({ details = "" }: ServiceError, metadata: Metadata): Delivery | undefined {
  if (Object.keys(metadata.getMap()).length > 0) return undefined;
  return DELIVERIES.find(([, words]) => words.test(details))?.[0];
}

const DELIVERIES: readonly [Delivery, RegExp][] = [
  ["NOT_SENT", /^(No connection established|Name resolution failed|Failed to start HTTP\/2 stream)/],
  // The second if the request had not left in full.
  ["REFUSED", /^(Stream refused by server|Write error: .*NGHTTP2_REFUSED_STREAM)/],
  [
    "LOST",
    /^(Connection dropped|Write (error|failed)|(Received RST_STREAM .* error: )?(read|write) E[A-Z]+)/,
  ],
];
