import {
  create,
  type DescMethodUnary,
  type DescService,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import type { Interceptor, UnaryRequest } from "@connectrpc/connect";
import { policies as readPolicies } from "../contract/policy.ts";
import { systemClock } from "../core/clock.ts";
import type { AnswerCache } from "./answer-cache.ts";
import type { Request, Surroundings } from "./call.ts";
import { mayAnswerInstead } from "./classify.ts";
import { asDegraded, type Degraded } from "./degraded.ts";
import { outcomeOf } from "./outcome.ts";

/** What answers in the place of a service, by method: given the request and the error, within the time that the contract gives it. */
export type Fallbacks<S extends DescService> = {
  readonly [K in keyof S["method"]]?: S["method"][K] extends DescMethodUnary<infer I, infer O>
    ? (request: MessageShape<I>, error: unknown) => MessageInitShape<O> | Promise<MessageInitShape<O>>
    : never;
};

/** What stands in for a server that cannot answer. */
export interface FallbackOptions extends Surroundings {
  readonly service?: DescService;
  readonly fallbacks?: Readonly<Record<string, ((request: never, error: unknown) => unknown) | undefined>>;
  /** Answers that were kept, for methods that allow `stale_if_error`. */
  readonly cache?: AnswerCache;
  /** How long the caller's own caller still waits, in milliseconds. Defaults to for ever. */
  readonly callerLeftMs?: () => number;
  readonly onDegraded?: (request: Request, how: Degraded) => void;
}

/**
 * Answers in the place of a server that is away, overloaded or too slow: with an answer that was kept, else with what
 * the caller's code says. The answer is marked by the trailer `mesh-degraded`; it is never kept, and no breaker takes
 * it for a success. Other errors pass. Throws at once if a fallback is given for a method whose contract allows none.
 */
export function fallback(options: FallbackOptions): Interceptor {
  const {
    clock = systemClock,
    policies = readPolicies(),
    service,
    fallbacks = {},
    cache,
    onDegraded,
  } = options;
  const { callerLeftMs = () => Number.POSITIVE_INFINITY } = options;
  for (const [name, answer] of Object.entries(fallbacks)) {
    const method = service?.method[name];
    if (answer && (!method || !policies.method(method).allowsFallback)) {
      throw new Error(`the contract of ${service?.typeName}/${name} allows no fallback`);
    }
  }

  async function answerOf(request: UnaryRequest, error: unknown) {
    const { method } = request;
    const answer = method.parent === service ? fallbacks[method.localName] : undefined;
    const withinMs = Math.min(policies.method(method).fallbackTimeoutMs, callerLeftMs());
    if (!answer || withinMs <= 0) throw error;
    const { promise: late, reject } = Promise.withResolvers<never>();
    const cancelTimer = clock.after(withinMs, () => reject(error));
    try {
      const init = await Promise.race([answer(request.message as never, error), late]);
      return {
        stream: false as const,
        service: request.service,
        method,
        header: new Headers(),
        trailer: new Headers(),
        message: create(method.output, init as MessageInitShape<typeof method.output>),
      };
    } finally {
      cancelTimer();
    }
  }

  return (next) => async (request) => {
    try {
      return await next(request);
    } catch (error) {
      if (request.stream || request.signal.aborted || !mayAnswerInstead(outcomeOf(error))) throw error;
      const kept = cache?.staleIfError(request);
      const response =
        kept ??
        (await answerOf(request, error).catch(() => {
          throw error;
        }));
      const how = kept ? "stale" : "fallback";
      onDegraded?.(request, how);
      return asDegraded(response, how);
    }
  };
}
