import { clone, toBinary } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type Interceptor,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import { LRUCache } from "lru-cache";
import { type CachePolicy, policies as readPolicies } from "../contract/policy.ts";
import { systemClock } from "../core/clock.ts";
import { NEVER, onAbort } from "../core/signal.ts";
import { asPartOf, type Call, callOf, newCall, type Request, type Surroundings } from "./call.ts";
import { mayRetry } from "./classify.ts";
import { isDegraded } from "./degraded.ts";
import { outcomeOf } from "./outcome.ts";
import { callerLeft, overdue } from "./rejection.ts";
import { SharedFailure, singleFlight } from "./single-flight.ts";

/** Answers that a caller keeps, for methods whose policy says `cache`. */
export interface AnswerCache {
  /** Answers from what is kept; lets calls that miss together share one. */
  readonly interceptor: Interceptor;
  /** An answer that is too old to be given, but may stand in for one that cannot be had. */
  staleIfError(request: Request): UnaryResponse | undefined;
  /** How many answers are kept. */
  readonly size: number;
}

/** How much is kept. */
export interface AnswerCacheOptions extends Surroundings {
  /** Bytes of answers and keys, about. Defaults to 16 MiB. */
  readonly maxBytes?: number;
  readonly onAnswer?: (request: Request, how: "hit" | "stale" | "miss" | "joined") => void;
}

interface Kept {
  readonly response: UnaryResponse | undefined;
  /** NOT_FOUND is kept too. */
  readonly error: ConnectError | undefined;
  readonly atMs: number;
}

const MAX_KEY_BYTES = 16 * 1024;
// What an entry takes beside its bytes, about.
const ENTRY_BYTES = 500;

/**
 * Keeps answers by method, request and the headers that the policy names; authorization always is one, so that no
 * caller sees what another was given. Bounded in bytes, the longest unused goes first. What is given is a copy.
 */
export function answerCache(options: AnswerCacheOptions = {}): AnswerCache {
  const { clock = systemClock, policies = readPolicies(), maxBytes = 16 * 2 ** 20, onAnswer } = options;
  const flights = singleFlight<UnaryResponse>();
  const kept = new LRUCache<string, Kept>({
    maxSize: maxBytes,
    sizeCalculation: ({ response }, key) =>
      ENTRY_BYTES +
      2 * key.length +
      (response ? toBinary(response.method.output, response.message).byteLength : 0),
  });

  const copy = (response: UnaryResponse): UnaryResponse => ({
    ...response,
    header: new Headers(response.header),
    trailer: new Headers(response.trailer),
    message: clone(response.method.output, response.message),
  });

  /** Calls on behalf of all who wait: with the policy's time, not that of one of them. */
  async function fetchFor(
    next: (request: UnaryRequest) => Promise<unknown>,
    request: UnaryRequest,
    key: string,
    { negativeTtlMs }: CachePolicy,
    signal: AbortSignal,
  ): Promise<UnaryResponse> {
    const { policy } = callOf(request, options);
    const shared = newCall(request, policy, clock.now() + policy.timeoutMs);
    const header = new Headers(request.header);
    try {
      const response = (await next(asPartOf({ ...request, signal, header }, shared))) as UnaryResponse;
      if (!isDegraded(response)) kept.set(key, { response, error: undefined, atMs: clock.now() });
      return response;
    } catch (error) {
      if (error instanceof ConnectError && error.code === Code.NotFound) {
        // What is gone must not stand in for itself later.
        if (negativeTtlMs > 0) kept.set(key, { response: undefined, error, atMs: clock.now() });
        else kept.delete(key);
      }
      throw error;
    }
  }

  const interceptor: Interceptor = (next) => (request) => {
    const call = callOf(request, options);
    const { cache } = call.policy;
    const key = cache && !request.stream ? keyOf(request, cache) : undefined;
    return cache && key !== undefined && !request.stream
      ? answer(next, request, call, cache, key)
      : next(request);
  };

  async function answer(
    next: Parameters<Interceptor>[0],
    request: UnaryRequest,
    call: Call,
    cache: CachePolicy,
    key: string,
  ): Promise<UnaryResponse> {
    const found = kept.get(key);
    const ageMs = found ? clock.now() - found.atMs : Number.POSITIVE_INFINITY;
    if (found?.error && ageMs < cache.negativeTtlMs) {
      onAnswer?.(request, "hit");
      throw found.error;
    }
    const begin = (signal: AbortSignal) => fetchFor((r) => next(r), request, key, cache, signal);
    if (found?.response && ageMs < cache.ttlMs + cache.staleWhileRevalidateMs) {
      const isFresh = ageMs < cache.ttlMs;
      onAnswer?.(request, isFresh ? "hit" : "stale");
      // Whoever asks next finds the new one; if it cannot be had, the old one serves on.
      if (!isFresh) flights.join(key, NEVER, begin).catch(() => {});
      return copy(found.response);
    }

    const waiting = new AbortController();
    const leave = () => waiting.abort(callerLeft(request.signal.reason));
    const stay = onAbort(request.signal, leave);
    const leftMs = call.deadlineMs - clock.now();
    const cancelTimer =
      leftMs === Number.POSITIVE_INFINITY
        ? () => {}
        : clock.after(leftMs, () => waiting.abort(overdue(true)));
    try {
      if (request.signal.aborted) throw callerLeft(request.signal.reason);
      for (let joined = 1; ; joined++) {
        try {
          const { value, isOwn } = await flights.join(key, waiting.signal, begin);
          onAnswer?.(request, isOwn ? "miss" : "joined");
          return copy(value);
        } catch (error) {
          if (!(error instanceof SharedFailure)) throw error;
          // It failed for a call that began before this one; this one may fare better, once.
          const outcome = outcomeOf(error.cause);
          const mayHelp =
            outcome.kind === "TOTAL_TIMEOUT" ||
            outcome.kind === "CALLER_CANCEL" ||
            mayRetry(outcome, { policy: call.policy, hasKey: call.isRepeatable });
          if (joined > 1 || !mayHelp) throw error.cause;
        }
      }
    } finally {
      cancelTimer();
      stay();
    }
  }

  return {
    interceptor,
    staleIfError(request) {
      const { cache } = policies.method(request.method);
      const key = cache && !request.stream ? keyOf(request, cache) : undefined;
      const found = key === undefined ? undefined : kept.get(key);
      if (!cache || !found?.response) return undefined;
      const ageMs = clock.now() - found.atMs;
      return ageMs < cache.ttlMs + cache.staleIfErrorMs ? copy(found.response) : undefined;
    },
    get size() {
      return kept.size;
    },
  };
}

// Each byte is one character, whatever it is.
const bytesAsText = new TextDecoder("latin1");

/** What makes two requests the same question; undefined if it is too long to be kept. */
function keyOf({ method, message, header }: UnaryRequest, { varyHeaders }: CachePolicy): string | undefined {
  const bytes = toBinary(method.input, message);
  if (bytes.byteLength > MAX_KEY_BYTES) return undefined;
  const asker = varyHeaders.map((name) => header.get(name));
  return `${method.parent.typeName}/${method.name}\n${JSON.stringify(asker)}\n${bytesAsText.decode(bytes)}`;
}
