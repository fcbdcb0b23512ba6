import type { DescMethod, DescMethodStreaming, DescMethodUnary, Message } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  type HandlerContext,
  type Transport,
} from "@connectrpc/connect";
import { createAsyncIterable } from "@connectrpc/connect/protocol";
import { standAside } from "../../core/work.ts";
import { answerHeaders, callerHeaders } from "../call-headers.ts";
import { asOwnRefusal } from "../errors.ts";

/**
 * Offers methods of one service by passing their calls on, on this way; its other methods are UNIMPLEMENTED. They go with
 * what their callers say of themselves, in the time that they have left, and until they leave. What the service refuses is
 * refused here in its own words; that it is away or has failed is told as of any part that a call needs.
 */
export function passOn(router: ConnectRouter, methods: readonly DescMethod[], way: Transport): void {
  const service = methods[0]?.parent;
  if (!service) return;
  const handlers = methods.map((method) => [method.localName, handlerOf(method, way)] as const);
  router.service(service, Object.fromEntries(handlers) as never);
}

function handlerOf(method: DescMethod, way: Transport) {
  switch (method.methodKind) {
    case "unary":
      return async (request: Message, context: HandlerContext) => {
        const { signal, requestHeader } = context;
        // From here on it waits for another process: who comes next need not wait for that, too.
        standAside();
        const answer = await way
          .unary(method as DescMethodUnary, signal, undefined, callerHeaders(requestHeader), request)
          .catch(refuse);
        tell(context, answer.header, answer.trailer);
        return answer.message;
      };
    case "client_streaming":
      return async (requests: AsyncIterable<Message>, context: HandlerContext) => {
        const [answer] = await Array.fromAsync(stream(method, way, requests, context));
        if (!answer) throw new ConnectError(`${method.name} answered nothing`, Code.Unimplemented);
        return answer;
      };
    case "server_streaming":
      return (request: Message, context: HandlerContext) =>
        stream(method, way, createAsyncIterable([request]), context);
    case "bidi_streaming":
      return (requests: AsyncIterable<Message>, context: HandlerContext) =>
        stream(method, way, requests, context);
  }
}

async function* stream(
  method: DescMethod,
  way: Transport,
  requests: AsyncIterable<Message>,
  context: HandlerContext,
): AsyncGenerator<Message> {
  // One that is not read to its end is not sent to its end either.
  const left = new AbortController();
  const signal = AbortSignal.any([context.signal, left.signal]);
  try {
    const header = callerHeaders(context.requestHeader);
    const answer = await way.stream(method as DescMethodStreaming, signal, undefined, header, requests);
    tell(context, answer.header);
    yield* answer.message;
    tell(context, answer.trailer);
  } catch (error) {
    refuse(error);
  } finally {
    left.abort();
  }
}

function tell({ responseHeader, responseTrailer }: HandlerContext, header: Headers, trailer?: Headers): void {
  for (const [name, value] of answerHeaders(header)) responseHeader.set(name, value);
  if (trailer) for (const [name, value] of answerHeaders(trailer)) responseTrailer.set(name, value);
}

function refuse(error: unknown): never {
  throw asOwnRefusal(error);
}
