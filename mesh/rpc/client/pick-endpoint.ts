import { createContextKey, type Interceptor } from "@connectrpc/connect";
import { MeshError } from "../../../gen/mesh/error/v1/error_pb.ts";
import type { Clock } from "../../core/clock.ts";
import { raceSignal } from "../../core/race.ts";
import { callOf, type Request } from "../../resilience/call.ts";
import { type Health, healthOf } from "../../resilience/classify.ts";
import { type Outcome, outcomeOf } from "../../resilience/outcome.ts";
import { callerLeft, overdue, rejection } from "../../resilience/rejection.ts";
import type { Endpoints, LiveEndpoint } from "./endpoints.ts";

const NONE: ReadonlySet<LiveEndpoint> = new Set();
const endpointKey = createContextKey<LiveEndpoint | undefined>(undefined);

/** The endpoint that was picked for an attempt. */
export function endpointOf(request: Request): LiveEndpoint {
  const endpoint = request.contextValues.get(endpointKey);
  if (!endpoint) throw new Error("no endpoint was picked for this attempt");
  return endpoint;
}

/** The endpoint of an attempt, if one was picked. */
export function pickedEndpoint(request: Request): LiveEndpoint | undefined {
  return request.contextValues.get(endpointKey);
}

/** What picking needs. */
export interface PickOptions {
  readonly clock: Clock;
  /** Told when nobody listens at an endpoint, so that the list may be looked up again. */
  readonly onNotSent: () => void;
  /** Told when an endpoint has too much to do, or says when it wants to be asked again. */
  readonly onPushback: (request: Request, pushbackMs: number | undefined) => void;
}

/**
 * Places an attempt at an endpoint, one that this call has not tried if there is such, and learns from how it goes. If
 * the endpoint's breaker refuses after all, another one is picked; that costs neither an attempt nor the budget.
 */
export function pickEndpoint(
  endpoints: Endpoints,
  { clock, onNotSent, onPushback }: PickOptions,
): Interceptor {
  return (next) => async (request) => {
    const { tried, deadlineMs } = callOf(request, { clock });
    let refused = NONE;
    const known = endpoints.whenKnown();
    if (known) await waitFor(known, deadlineMs - clock.now(), request.signal);
    for (;;) {
      const endpoint = endpoints.pick(tried, refused);
      if (!endpoint) throw nobody(endpoints.all().length);
      request.contextValues.set(endpointKey, endpoint);
      // From now on, not when it has failed: a hedge goes elsewhere while this attempt still runs.
      const wasTried = tried.has(endpoint);
      tried.add(endpoint);
      const end = endpoint.load.begin();
      const startedMs = clock.now();
      try {
        const response = await next(request);
        endpoint.load.observe(clock.now() - startedMs);
        if (!response.stream) {
          end();
          return response;
        }
        return {
          ...response,
          message: ending(response.message, end, (error) => broke(request, endpoint, error)),
        };
      } catch (error) {
        end();
        const outcome = outcomeOf(error);
        if (outcome.kind !== "LOCAL_REJECT" || outcome.reason !== "BREAKER_OPEN") {
          learn(endpoint, error, clock.now() - startedMs);
          told(request, outcome);
          throw error;
        }
        if (!wasTried) tried.delete(endpoint);
        refused = new Set([...refused, endpoint]);
      }
    }
  };

  /** How long a stream lasts says nothing about its endpoint. */
  function broke(request: Request, endpoint: LiveEndpoint, error: unknown): void {
    const outcome = outcomeOf(error);
    if (isFailure(healthOf(outcome))) learn(endpoint, error, 0);
    told(request, outcome);
  }

  function told(request: Request, outcome: Outcome): void {
    if (outcome.kind === "NOT_SENT") onNotSent();
    if (outcome.reason === "SHED" || outcome.pushbackMs !== undefined)
      onPushback(request, outcome.pushbackMs);
  }

  /** As gRPC does: a call waits while its target is looked up for the first time. */
  async function waitFor(known: Promise<void>, leftMs: number, caller: AbortSignal): Promise<void> {
    const over = new AbortController();
    const leave = () => over.abort(callerLeft(caller.reason));
    const cancelTimer =
      leftMs === Number.POSITIVE_INFINITY ? () => {} : clock.after(leftMs, () => over.abort(overdue(true)));
    caller.addEventListener("abort", leave, { once: true });
    if (caller.aborted) leave();
    try {
      await raceSignal(known, over.signal);
    } finally {
      cancelTimer();
      caller.removeEventListener("abort", leave);
    }
  }

  function learn(endpoint: LiveEndpoint, error: unknown, tookMs: number): void {
    const outcome = outcomeOf(error);
    const health = healthOf(outcome);
    // Shedding is no failure, but who is told to come back later gives the others more in the meantime.
    if (isFailure(health) || outcome.reason === "SHED") {
      endpoint.load.punish(Math.max(tookMs, outcome.pushbackMs ?? 0));
      endpoint.lastError = { text: error instanceof Error ? error.message : String(error), at: clock.date() };
    } else if (outcome.kind === "HEDGE_LOST") endpoint.load.lose(tookMs);
    else if (health === "SUCCESS") endpoint.load.observe(tookMs);
    else endpoint.load.exceed(tookMs);
  }
}

async function* ending<T>(
  messages: AsyncIterable<T>,
  end: () => void,
  broke: (error: unknown) => void,
): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    broke(error);
    throw error;
  } finally {
    end();
  }
}

function isFailure(health: Health): boolean {
  return health === "FAILURE" || health === "FAILURE_BY_RATIO";
}

function nobody(known: number) {
  return known === 0
    ? rejection(MeshError.NO_ENDPOINT, "no instance of the service is known; nothing was sent")
    : rejection(
        MeshError.BREAKER_OPEN,
        "every instance of the service has failed too often of late; nothing was sent",
      );
}
