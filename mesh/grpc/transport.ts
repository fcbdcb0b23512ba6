import {
  create,
  type DescMessage,
  type DescMethod,
  type MessageInitShape,
  type MessageShape,
  type Registry,
} from "@bufbuild/protobuf";
import {
  type ContextValues,
  createContextValues,
  type Interceptor,
  type StreamResponse,
  type Transport,
  type UnaryResponse,
} from "@connectrpc/connect";
import { createMethodUrl, runStreamingCall, runUnaryCall } from "@connectrpc/connect/protocol";
import { formatGrpcTimeout } from "../core/grpc-timeout.ts";
import type { LazyAbort } from "../core/signal.ts";
import type { Client } from "../http2/client.ts";
import type { HeaderField } from "../http2/hpack/header-field.ts";
import { canceled, deadlineExceeded } from "./call-error.ts";
import { type Compression, identity } from "./compression.ts";
import type { Format } from "./content-type.ts";
import { type HeadersInit, toFields, toHeaders } from "./metadata.ts";
import { StreamingCall } from "./streaming-call.ts";
import { UnaryCall } from "./unary-call.ts";
import { WireMethod } from "./wire-method.ts";

/** What a gRPC transport needs. */
export interface GrpcTransportOptions {
  /** What `:authority` says: the server as the caller names it. */
  readonly authority: string;
  /** Defaults to "http". */
  readonly scheme?: "http" | "https";
  /** The first is the outermost. Defaults to none. */
  readonly interceptors?: readonly Interceptor[];
  /** The largest message that is taken. Defaults to 4 MiB. */
  readonly maxMessageBytes?: number;
  /** Defaults to "proto". */
  readonly format?: Format;
  /** Where JSON finds what is in an `Any`. */
  readonly registry?: Registry;
  /** How requests are compressed. Defaults to not at all. */
  readonly compression?: Compression;
  /** Ends a unary call in place of a signal and a timeout, for a caller that watches both itself. */
  readonly endingOf?: (values: ContextValues) => LazyAbort | undefined;
}

/**
 * gRPC over HTTP/2 as a Connect transport. A timeout of 0 or less is over at once; one that no timer can wait for is as long
 * as a timer can.
 */
export function grpcTransport(client: Client, options: GrpcTransportOptions): Transport {
  const { authority, scheme = "http", interceptors = [], maxMessageBytes = 2 ** 22 } = options;
  const { format = "proto", compression = identity, registry, endingOf } = options;
  const methods = new Map<DescMethod, WireMethod>();
  const forget = (call: StreamingCall) => client.forget(call);
  const unaryOptions = { client, maxMessageBytes };

  function wireMethod(desc: DescMethod): WireMethod {
    const known = methods.get(desc);
    if (known) return known;
    const made = new WireMethod(desc, authority, scheme, format, compression, registry);
    methods.set(desc, made);
    return made;
  }

  // Many calls have the same timeout and no headers: they share one list.
  let lastTimeoutMs: number | undefined;
  let lastFields: readonly HeaderField[] = [];

  function fieldsOf(header: HeadersInit | undefined, timeoutMs: number | undefined): readonly HeaderField[] {
    if (timeoutMs !== lastTimeoutMs) {
      lastFields = timeoutMs === undefined ? [] : [timeoutField(timeoutMs)];
      lastTimeoutMs = timeoutMs;
    }
    return header === undefined ? lastFields : [...toFields(header), ...lastFields];
  }

  function unary<I extends DescMessage, O extends DescMessage>(
    desc: DescMethod & { input: I; output: O },
    ending: AbortSignal | LazyAbort | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    message: MessageShape<I>,
    waitsItself: boolean,
  ): Promise<UnaryResponse<I, O>> {
    return new Promise((resolve, reject) => {
      if (ending?.aborted) return reject(canceled(ending.reason));
      if (timeoutMs !== undefined && timeoutMs <= 0) return reject(deadlineExceeded());
      const method = wireMethod(desc);
      const fields = fieldsOf(header, timeoutMs);
      const call = new UnaryCall(unaryOptions, method, fields, resolve as (answer: unknown) => void, reject);
      const body = method.request.serialize(message);
      call.watch(ending, waitsItself ? undefined : timeoutMs);
      if (compression === identity) call.start(body, false);
      else compression.compress(body).then((small) => call.start(small, true), reject);
    });
  }

  async function stream<I extends DescMessage, O extends DescMessage>(
    desc: DescMethod & { input: I; output: O },
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    messages: AsyncIterable<MessageShape<I>>,
  ): Promise<StreamResponse<I, O>> {
    if (signal?.aborted) throw canceled(signal.reason);
    if (timeoutMs !== undefined && timeoutMs <= 0) throw deadlineExceeded();
    const fields = fieldsOf(header, timeoutMs);
    const method = wireMethod(desc);
    const call = new StreamingCall({
      method,
      fields,
      messages,
      compression,
      maxMessageBytes,
      timeoutMs,
      signal,
      forget,
    });
    client.start(call);
    await call.begun;
    return {
      stream: true,
      service: desc.parent,
      method: desc,
      header: toHeaders(call.header),
      trailer: call.trailer,
      message: call.messages as AsyncIterable<MessageShape<O>>,
    } as StreamResponse<I, O>;
  }

  const request = (desc: DescMethod, header: HeadersInit | undefined, values: ContextValues | undefined) => ({
    service: desc.parent,
    requestMethod: "POST",
    url: createMethodUrl(`${scheme}://${authority}`, desc),
    header: new Headers(header),
    contextValues: values ?? createContextValues(),
  });

  return {
    unary(desc, signal, timeoutMs, header, input, contextValues) {
      if (interceptors.length === 0) {
        const ending = contextValues && endingOf?.(contextValues);
        return unary(
          desc,
          ending ?? signal,
          timeoutMs,
          header,
          create(desc.input, input),
          ending !== undefined,
        );
      }
      return runUnaryCall({
        ...(signal && { signal }),
        ...(timeoutMs !== undefined && { timeoutMs }),
        interceptors: [...interceptors],
        req: { ...request(desc, header, contextValues), stream: false, method: desc, message: input },
        next: (req) => unary(desc, req.signal, timeoutMs, req.header, req.message, true),
      });
    },
    stream(desc, signal, timeoutMs, header, input, contextValues) {
      if (interceptors.length === 0)
        return stream(desc, signal, timeoutMs, header, messagesOf(desc.input, input));
      return runStreamingCall({
        ...(signal && { signal }),
        ...(timeoutMs !== undefined && { timeoutMs }),
        interceptors: [...interceptors],
        req: { ...request(desc, header, contextValues), stream: true, method: desc, message: input },
        next: (req) => stream(desc, req.signal, timeoutMs, req.header, req.message),
      });
    },
  };
}

function timeoutField(timeoutMs: number): HeaderField {
  return { name: "grpc-timeout", value: formatGrpcTimeout(timeoutMs), indexing: "literal" };
}

async function* messagesOf<I extends DescMessage>(
  schema: I,
  inits: AsyncIterable<MessageInitShape<I>>,
): AsyncGenerator<MessageShape<I>> {
  for await (const init of inits) yield create(schema, init);
}
