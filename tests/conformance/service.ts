import { setTimeout as sleep } from "node:timers/promises";
import { create, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { type Any, anyPack } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  BidiStreamRequestSchema,
  ClientStreamRequestSchema,
  type ConformancePayload,
  ConformancePayload_RequestInfoSchema,
  ConformancePayloadSchema,
  type ConformanceService,
  IdempotentUnaryRequestSchema,
  ServerStreamRequestSchema,
  type StreamResponseDefinition,
  UnaryRequestSchema,
  type UnaryResponseDefinition,
} from "./contract.ts";
import { toConnectError } from "./errors.ts";
import { addTo, metadataOf } from "./metadata.ts";

/** What the suite asks a server to do: each request says how it wants to be answered. */
export const conformance: Partial<ServiceImpl<typeof ConformanceService>> = {
  unary: async (request, context) => ({
    payload: await answerOnce(request.responseDefinition, [pack(UnaryRequestSchema, request)], context),
  }),

  idempotentUnary: async (request, context) => ({
    payload: await answerOnce(
      request.responseDefinition,
      [pack(IdempotentUnaryRequestSchema, request)],
      context,
    ),
  }),

  async clientStream(requests, context) {
    let definition: UnaryResponseDefinition | undefined;
    const received: Any[] = [];
    for await (const request of requests) {
      if (received.length === 0) definition = request.responseDefinition;
      received.push(pack(ClientStreamRequestSchema, request));
    }
    return { payload: await answerOnce(definition, received, context) };
  },

  async *serverStream(request, context) {
    const received = [pack(ServerStreamRequestSchema, request)];
    yield* answerAll(request.responseDefinition, received, context, 0);
  },

  async *bidiStream(requests, context) {
    let definition: StreamResponseDefinition | undefined;
    let received: Any[] = [];
    let isFirst = true;
    let isFullDuplex = false;
    let answered = 0;
    for await (const request of requests) {
      if (isFirst) {
        definition = request.responseDefinition;
        isFullDuplex = request.fullDuplex;
        announce(definition, context);
        isFirst = false;
      }
      received.push(pack(BidiStreamRequestSchema, request));
      if (!isFullDuplex) continue;
      const data = definition?.responseData[answered];
      if (data === undefined) break;
      const requestInfo =
        answered === 0
          ? infoOf(received, context)
          : create(ConformancePayload_RequestInfoSchema, { requests: received });
      await wait(definition, context);
      yield { payload: create(ConformancePayloadSchema, { data, requestInfo }) };
      answered++;
      received = [];
    }
    yield* answerAll(definition, received, context, answered);
  },
};

async function answerOnce(
  definition: UnaryResponseDefinition | undefined,
  received: readonly Any[],
  context: HandlerContext,
): Promise<ConformancePayload> {
  const requestInfo = infoOf(received, context);
  announce(definition, context);
  await wait(definition, context);
  const response = definition?.response;
  if (response?.case === "error") {
    throw toConnectError(response.value, [anyPack(ConformancePayload_RequestInfoSchema, requestInfo)]);
  }
  return create(ConformancePayloadSchema, {
    requestInfo,
    ...(response?.case === "responseData" && { data: response.value }),
  });
}

/** The answers of a stream from one on, and its end. */
async function* answerAll(
  definition: StreamResponseDefinition | undefined,
  received: readonly Any[],
  context: HandlerContext,
  from: number,
): AsyncGenerator<{ payload: ConformancePayload }> {
  if (from === 0) announce(definition, context);
  for (const [at, data] of (definition?.responseData ?? []).entries()) {
    if (at < from) continue;
    await wait(definition, context);
    const requestInfo = at === 0 ? { requestInfo: infoOf(received, context) } : {};
    yield { payload: create(ConformancePayloadSchema, { data, ...requestInfo }) };
  }
  if (!definition?.error) return;
  const hasAnswered = definition.responseData.length > 0;
  const info = hasAnswered ? [] : [anyPack(ConformancePayload_RequestInfoSchema, infoOf(received, context))];
  throw toConnectError(definition.error, info);
}

type Definition = UnaryResponseDefinition | StreamResponseDefinition | undefined;

const announced = new WeakSet<HandlerContext>();

/** Sets the headers and trailers of the answer, once for a call. */
function announce(definition: Definition, context: HandlerContext): void {
  if (!definition || announced.has(context)) return;
  announced.add(context);
  addTo(context.responseHeader, definition.responseHeaders);
  addTo(context.responseTrailer, definition.responseTrailers);
}

async function wait(definition: Definition, { signal }: HandlerContext): Promise<void> {
  if (!definition?.responseDelayMs) return;
  // Whose time is up, or whose caller has gone, ends with the reason of that.
  await sleep(definition.responseDelayMs, undefined, { signal }).catch(() => signal.throwIfAborted());
}

function infoOf(requests: readonly Any[], { requestHeader, requestMethod, timeoutMs, url }: HandlerContext) {
  const leftMs = timeoutMs();
  return create(ConformancePayload_RequestInfoSchema, {
    requestHeaders: metadataOf(requestHeader),
    requests: [...requests],
    ...(leftMs !== undefined && { timeoutMs: BigInt(Math.floor(leftMs)) }),
    ...(requestMethod === "GET" && {
      connectGetInfo: {
        queryParams: [...new URL(url).searchParams].map(([name, value]) => ({ name, value: [value] })),
      },
    }),
  });
}

function pack<S extends DescMessage>(schema: S, message: MessageShape<S>): Any {
  return anyPack(schema, message);
}
