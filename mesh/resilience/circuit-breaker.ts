import type { Interceptor, StreamResponse } from "@connectrpc/connect";
import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import { policies as readPolicies } from "../contract/policy.ts";
import { systemClock } from "../core/clock.ts";
import { type Breaker, breaker, type Permit } from "./breaker.ts";
import { type Call, callOf, type Request, type Surroundings } from "./call.ts";
import { healthOf } from "./classify.ts";
import type { Latencies } from "./latency.ts";
import { outcomeOf } from "./outcome.ts";
import { rejection } from "./rejection.ts";

/** Which breaker a request passes. */
export interface CircuitBreakerOptions extends Surroundings {
  /** Defaults to one for each service at each origin. */
  readonly breakerOf?: (request: Request) => Breaker;
  /** True if the request is to be sent though its breaker is open. */
  readonly isForced?: (request: Request) => boolean;
  readonly latenciesOf?: (request: Request) => Latencies | undefined;
  readonly onRejected?: (request: Request) => void;
}

/**
 * Sends nothing to an endpoint that fails: the attempt is refused at once with BREAKER_OPEN. Below retry, so that each
 * attempt is one sample; above the attempt's timeout, so that a timeout is one too. A stream counts when it begins, a
 * server's with its first message, and again if it breaks. What an operator keeps open is not forced.
 */
export function circuitBreaker(options: CircuitBreakerOptions = {}): Interceptor {
  const { clock = systemClock, isForced, latenciesOf, onRejected } = options;
  const breakerOf = options.breakerOf ?? breakersByOrigin(options);

  return (next) => async (request) => {
    const breaker = breakerOf(request);
    const permit = breaker.acquire();
    if (!permit && (!isForced?.(request) || breaker.describe().order === "FORCED_OPEN")) {
      onRejected?.(request);
      throw rejection(MeshError.BREAKER_OPEN, "the endpoint has failed too often of late; nothing was sent");
    }
    const startedMs = clock.now();
    try {
      const response = await next(request);
      if (response.stream) return watched(response, request, permit, startedMs);
      permit?.record("SUCCESS", clock.now() - startedMs);
      return response;
    } catch (error) {
      failed(request, permit, startedMs, error);
      throw error;
    }
  };

  function failed(request: Request, permit: Permit | undefined, startedMs: number, error: unknown): void {
    const tookMs = clock.now() - startedMs;
    const health = healthOf(
      outcomeOf(error),
      isLong(tookMs, callOf(request, options), latenciesOf?.(request)),
    );
    permit?.record(health, tookMs);
  }

  function watched(
    response: StreamResponse,
    request: Request,
    permit: Permit | undefined,
    startedMs: number,
  ): StreamResponse {
    let hasBegun = false;
    const begin = () => {
      hasBegun = true;
      permit?.record("SUCCESS", clock.now() - startedMs);
    };
    // Up to its first message a server's stream may still be one that was refused.
    if (request.method.methodKind !== "server_streaming") begin();
    const end = (error: unknown) => {
      // Once it has begun it may well last until its deadline: that is no failure.
      if (hasBegun) permit?.broke(healthOf(outcomeOf(error)));
      else failed(request, permit, startedMs, error);
    };
    return { ...response, message: watching(response.message, begin, end) };
  }
}

/** An endpoint is to blame for a deadline that passed only if it had as much time as it usually needs. */
function isLong(tookMs: number, { policy }: Call, latencies: Latencies | undefined): boolean {
  const usual = policy.retry.attemptTimeoutMs ?? latencies?.percentile(0.99) ?? Number.POSITIVE_INFINITY;
  return tookMs >= Math.min(usual, policy.timeoutMs / 2);
}

async function* watching<T>(
  messages: AsyncIterable<T>,
  begin: () => void,
  broke: (error: unknown) => void,
): AsyncGenerator<T> {
  try {
    for await (const message of messages) {
      begin();
      yield message;
    }
    begin();
  } catch (error) {
    broke(error);
    throw error;
  }
}

function breakersByOrigin({
  clock = systemClock,
  random = Math.random,
  policies = readPolicies(),
}: Surroundings): (request: Request) => Breaker {
  const breakers = new Map<string, Breaker>();
  return ({ service, url }) => {
    const name = `${new URL(url).origin}/${service.typeName}`;
    let found = breakers.get(name);
    if (!found) {
      found = breaker(policies.service(service).breaker, { clock, random });
      breakers.set(name, found);
    }
    return found;
  };
}
