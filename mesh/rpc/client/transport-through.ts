import {
  create,
  type DescMessage,
  type DescMethod,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import {
  type ContextValues,
  createContextValues,
  type StreamRequest,
  type StreamResponse,
  type Transport,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import { MAX_TIMER_MS } from "../../core/clock.ts";
import { NEVER } from "../../core/signal.ts";
import { currentWork } from "../../core/work.ts";
import { abortKey, timeoutKey, valuesOver } from "../../resilience/call.ts";
import { outcomeOf } from "../../resilience/outcome.ts";
import { CRITICALITY_HEADER } from "../call-headers.ts";
import { markAsAnswer } from "../errors.ts";
import { clientStack, type OwnFallback } from "./client-stack.ts";
import { endpointOf } from "./pick-endpoint.ts";
import { askedKey, type TargetState } from "./target-state.ts";

type Response = UnaryResponse | StreamResponse;

/** A transport whose calls pass through the client stack, on behalf of the present piece of work. */
export function transportThrough(state: TargetState, own?: OwnFallback): Transport {
  const through = clientStack(state, own).reduceRight<
    (request: UnaryRequest | StreamRequest) => Promise<Response>
  >((next, interceptor) => interceptor(next), send);

  const failed = (error: unknown): never => {
    // That no time was left is our own word, and our caller's business; all else is about the service called.
    throw outcomeOf(error).reason === "DEADLINE_BUDGET_EXHAUSTED" ? error : markAsAnswer(error);
  };

  function begin(
    method: DescMethod,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: ConstructorParameters<typeof Headers>[0],
    contextValues: ContextValues | undefined,
  ) {
    const work = currentWork();
    const headers = new Headers(header);
    if (work?.criticality !== undefined) headers.set(CRITICALITY_HEADER, work.criticality);
    return {
      service: method.parent,
      requestMethod: "POST",
      url: `http://${state.name}/${method.parent.typeName}/${method.name}`,
      header: headers,
      signal: within(signal, work?.signal),
      contextValues: valuesOver(contextValues ?? createContextValues()).set(askedKey, timeoutMs),
    };
  }

  return {
    async unary(method, signal, timeoutMs, header, input, contextValues) {
      const request = {
        ...begin(method, signal, timeoutMs, header, contextValues),
        stream: false as const,
        method,
        message: create(method.input, input),
      };
      try {
        return (await through(request)) as UnaryResponse<typeof method.input, typeof method.output>;
      } catch (error) {
        return failed(error);
      }
    },
    async stream(method, signal, timeoutMs, header, input, contextValues) {
      const request = {
        ...begin(method, signal, timeoutMs, header, contextValues),
        stream: true as const,
        method,
        message: messagesOf(method.input, input),
      };
      const response = (await through(request).catch(failed)) as StreamResponse<
        typeof method.input,
        typeof method.output
      >;
      return { ...response, message: failing(response.message, failed) };
    },
  };
}

/** Hands an attempt to the transport of its endpoint, with the time that it has. */
function send(request: UnaryRequest | StreamRequest): Promise<Response> {
  const { transport } = endpointOf(request);
  const { header, contextValues } = request;
  const allowedMs = contextValues.get(timeoutKey);
  // Whole milliseconds, and none that a timer cannot keep.
  const timeoutMs =
    allowedMs === Number.POSITIVE_INFINITY ? undefined : Math.min(Math.floor(allowedMs), MAX_TIMER_MS);
  if (request.stream)
    return transport.stream(
      request.method,
      request.signal,
      timeoutMs,
      header,
      request.message,
      contextValues,
    );
  const signal = transport.needsNoSignal && contextValues.get(abortKey) ? undefined : request.signal;
  return transport.unary(request.method, signal, timeoutMs, header, request.message, contextValues);
}

/** A signal of the call itself and of the work that it is made for. */
function within(signal: AbortSignal | undefined, work: AbortSignal | undefined): AbortSignal {
  return signal && work ? AbortSignal.any([signal, work]) : (signal ?? work ?? NEVER);
}

async function* messagesOf<I extends DescMessage>(
  schema: I,
  inits: AsyncIterable<MessageInitShape<I>>,
): AsyncGenerator<MessageShape<I>> {
  for await (const init of inits) yield create(schema, init);
}

async function* failing<T>(all: AsyncIterable<T>, failed: (error: unknown) => never): AsyncGenerator<T> {
  try {
    yield* all;
  } catch (error) {
    failed(error);
  }
}
