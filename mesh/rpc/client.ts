import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import { refuseByMesh } from "../contract/reasons.ts";
import { type Clock, MAX_TIMER_MS, systemClock } from "../core/clock.ts";
import { formatTraceparent } from "../core/trace.ts";
import { currentWork, timeLeftMs } from "../core/work.ts";
import { anyEndpoint } from "./any-endpoint.ts";
import { markAsAnswer, toConnectError } from "./errors.ts";
import type { TargetSettings } from "./target.ts";
import type { ClosableTransport } from "./transport.ts";
import { transports } from "./transports.ts";

/** What an outgoing call may take beyond its target. */
export interface ClientOptions {
  /** How long a unary call may take whose caller names no timeout. Milliseconds. Defaults to 10,000. */
  readonly defaultTimeoutMs?: number;
  readonly interceptors?: readonly Interceptor[];
  readonly clock?: Clock;
}

// Kept back from what the caller has left, for our own answer.
const RESERVE_MS = 5;
// Less is not worth sending.
const MIN_TIMEOUT_MS = 2;
const MAX_MESSAGE_BYTES = 4 * 2 ** 20;

/** Opens the way to a service; the clients made of it share its connections. */
export function openTarget(settings: TargetSettings, options: ClientOptions = {}): ClosableTransport {
  const { clock = systemClock, defaultTimeoutMs = 10_000, interceptors = [] } = options;
  const connections = settings.endpoints.map((endpoint) =>
    transports[settings.protocol](endpoint, {
      interceptors: [...interceptors, tracing],
      maxMessageBytes: MAX_MESSAGE_BYTES,
    }),
  );
  const target = anyEndpoint(connections);
  return { ...withinWork(target, clock, defaultTimeoutMs), close: target.close };
}

/**
 * A client of one service of a target. What goes wrong is a ConnectError; `reasonOf` tells its reason. A stream is left
 * by its signal: connect does not tell the server when its reader merely stops.
 */
export function meshClient<S extends DescService>(service: S, target: Transport): Client<S> {
  return createClient(service, target);
}

/**
 * Passes the deadline of the present work on to the calls that it makes, less the time spent, and ends them when its
 * caller goes. A call for which no time is left is not sent.
 */
function withinWork(transport: Transport, clock: Clock, defaultTimeoutMs: number): Transport {
  const limit = (timeoutMs: number | undefined, fallbackMs: number) => {
    const asked = timeoutMs ?? fallbackMs;
    const left = timeLeftMs(clock) - RESERVE_MS;
    const limited = Math.min(asked, left);
    if (limited < MIN_TIMEOUT_MS) {
      const text = "no time is left for the call; it was not sent";
      throw toConnectError(refuseByMesh(MeshError.DEADLINE_BUDGET_EXHAUSTED, text));
    }
    // Connect takes no fraction, and no length that a timer cannot keep.
    return limited === Number.POSITIVE_INFINITY ? undefined : Math.min(Math.floor(limited), MAX_TIMER_MS);
  };
  const fail = (error: unknown): never => {
    throw markAsAnswer(error);
  };
  return {
    async unary(method, signal, timeoutMs, header, input, values) {
      const limited = limit(timeoutMs, defaultTimeoutMs);
      return transport.unary(method, within(signal), limited, header, input, values).catch(fail);
    },
    async stream(method, signal, timeoutMs, header, input, values) {
      const limited = limit(timeoutMs, Number.POSITIVE_INFINITY);
      const response = await transport
        .stream(method, within(signal), limited, header, input, values)
        .catch(fail);
      return { ...response, message: marked(response.message) };
    },
  };
}

async function* marked<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw markAsAnswer(error);
  }
}

function within(signal: AbortSignal | undefined): AbortSignal | undefined {
  const caller = currentWork()?.signal;
  return signal && caller ? AbortSignal.any([signal, caller]) : (signal ?? caller);
}

/** Tells the called service which trace and request it works for. */
const tracing: Interceptor = (next) => (request) => {
  const work = currentWork();
  if (work) {
    request.header.set("traceparent", formatTraceparent(work.trace));
    request.header.set("x-request-id", work.requestId);
  }
  return next(request);
};
