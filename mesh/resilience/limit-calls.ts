import type { Interceptor } from "@connectrpc/connect";
import { policies as readPolicies } from "../contract/policy.ts";
import { systemClock } from "../core/clock.ts";
import { type Bulkhead, bulkhead } from "./bulkhead.ts";
import { callOf, type Request, type Surroundings } from "./call.ts";

/** Which bulkhead a request passes. */
export interface LimitCallsOptions extends Surroundings {
  /** Defaults to one for each service, with one of the same size for its streams. */
  readonly bulkheadOf?: (request: Request) => Bulkhead;
  readonly onRejected?: (request: Request) => void;
}

/**
 * Takes a place in the bulkhead for a whole call. Above retry, so that a call which waits for its next attempt still
 * counts once, and a target that is slow cannot fill this process with calls that wait. A stream holds its place until
 * it has ended or its caller has left it.
 */
export function limitCalls(options: LimitCallsOptions = {}): Interceptor {
  const { clock = systemClock, onRejected } = options;
  const bulkheadOf = options.bulkheadOf ?? bulkheadsByService(options);
  return (next) => async (request) => {
    const leftMs = callOf(request, options).deadlineMs - clock.now();
    let leave: () => void;
    try {
      const place = bulkheadOf(request).enter(leftMs, request.signal);
      leave = place instanceof Promise ? await place : place;
    } catch (error) {
      if (!request.signal.aborted) onRejected?.(request);
      throw error;
    }
    let isStream = false;
    try {
      const response = await next(request);
      if (!response.stream) return response;
      isStream = true;
      const { signal } = request;
      signal.addEventListener("abort", leave, { once: true });
      const end = () => {
        signal.removeEventListener("abort", leave);
        leave();
      };
      if (signal.aborted) end();
      return { ...response, message: ending(response.message, end) };
    } finally {
      if (!isStream) leave();
    }
  };
}

async function* ending<T>(messages: AsyncIterable<T>, end: () => void): AsyncGenerator<T> {
  try {
    yield* messages;
  } finally {
    end();
  }
}

function bulkheadsByService({
  clock = systemClock,
  policies = readPolicies(),
}: Surroundings): (request: Request) => Bulkhead {
  const bulkheads = new Map<string, Bulkhead>();
  return ({ service, stream }) => {
    const name = `${service.typeName} ${stream}`;
    let found = bulkheads.get(name);
    if (!found) {
      found = bulkhead(policies.service(service).bulkhead, clock);
      bulkheads.set(name, found);
    }
    return found;
  };
}
