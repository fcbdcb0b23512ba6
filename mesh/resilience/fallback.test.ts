import type { DescService } from "@bufbuild/protobuf";
import { Code, createClient, createRouterTransport } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import { policies } from "../contract/policy.ts";
import { manualClock } from "../testing/clock.ts";
import {
  ended,
  isQuiet,
  methodNamed,
  type Step,
  scripted,
  settled,
  statusError,
  streamRequest,
  textOf,
  through,
  toyContract,
  unaryRequest,
} from "../testing/toy-calls.ts";
import { duration } from "../testing/toy-client.ts";
import { toyService } from "../testing/toy-service.ts";
import { answerCache } from "./answer-cache.ts";
import { breaker } from "./breaker.ts";
import type { Request } from "./call.ts";
import { circuitBreaker } from "./circuit-breaker.ts";
import { totalDeadline } from "./deadline.ts";
import { degradedOf } from "./degraded.ts";
import { type FallbackOptions, fallback } from "./fallback.ts";
import { overdue, rejection } from "./rejection.ts";

const cache = { ttl: duration(100), staleIfError: duration(1_000) };
const service: DescService = toyContract({
  Get: { idempotency: "IDEMPOTENT", policy: { fallback: { allowed: true } } },
  Find: { idempotency: "NO_SIDE_EFFECTS", policy: { fallback: { allowed: true }, cache } },
  Put: { idempotency: "IDEMPOTENT" },
  Watch: { streams: "server", idempotency: "IDEMPOTENT", policy: { fallback: { allowed: true } } },
});
const GET = methodNamed(service, "Get");
const FIND = methodNamed(service, "Find");

type Answer = (request: { toyId: string }, error: unknown) => unknown;

/** Calls whose answers come from `get` and `find` where the server, which goes as scripted, has none. */
function falling(
  steps: readonly Step[],
  own: Readonly<Record<string, Answer>> = {},
  options: FallbackOptions = {},
  clock = manualClock(),
) {
  const { next, seen } = scripted(clock, steps);
  const told: string[] = [];
  const kept = answerCache({ clock });
  const stack = [
    fallback({
      clock,
      service,
      fallbacks: own,
      cache: kept,
      onDegraded: (_, how) => void told.push(how),
      ...options,
    }),
    totalDeadline({ clock, ...(options.callerLeftMs && { callerLeftMs: options.callerLeftMs }) }),
    kept.interceptor,
  ];
  const begin = (request: Request = unaryRequest(GET)) => {
    const answer = through(stack, next)(request);
    answer.catch(() => {});
    return answer;
  };
  const call = async (request?: Request) => {
    const { value, error, atMs } = await ended(clock, begin(request));
    return { text: value && textOf(value), how: value && degradedOf(value), error, atMs };
  };
  return { clock, seen, told, kept, begin, call };
}

const UNAVAILABLE: Step = { error: statusError(Code.Unavailable) };

test("on any of Connect's transports a client has its own answer when the server has none", async () => {
  const toys = toyService({ ask: { fallback: { allowed: true } } });
  const ask = () => {
    throw statusError(Code.Unavailable);
  };
  const own = fallback({
    service: toys,
    fallbacks: { ask: ({ text }: { text: string }) => ({ text: `${text}?` }) },
  });
  const transport = createRouterTransport((router) => router.service(toys, { ask }), {
    transport: { interceptors: [own] },
  });
  let how: string | undefined;
  const onTrailer = (trailer: Headers) => {
    how = degradedOf({ trailer });
  };
  expect(await createClient(toys, transport).ask({ text: "a" }, { onTrailer })).toMatchObject({ text: "a?" });
  expect(how).toBe("fallback");
});

test("the server's answer is the call's, and its caller's code is not asked", async () => {
  const { call, told } = falling([{ answer: "yes" }], { get: () => ({ text: "own" }) });
  expect(await call()).toMatchObject({ text: "yes", how: undefined });
  expect(told).toEqual([]);
});

test("the caller's code is given the request and the error, and its answer is marked", async () => {
  const error = statusError(Code.Unavailable);
  const asked: unknown[] = [];
  const get: Answer = ({ toyId }, thrown) => {
    asked.push(toyId, thrown);
    return { text: "own" };
  };
  const { call, told } = falling([{ error }], { get });
  expect(await call(unaryRequest(GET, { message: { toyId: "t1" } }))).toMatchObject({
    text: "own",
    how: "fallback",
  });
  expect(asked).toEqual(["t1", error]);
  expect(told).toEqual(["fallback"]);
});

describe("the caller's answer stands in", () => {
  test.each<[string, unknown]>([
    ["a server that is away", statusError(Code.Unavailable)],
    ["an attempt that took too long", overdue(false)],
    ["a call that took too long", overdue(true)],
    [
      "a server that is overloaded and says when to come back",
      statusError(Code.ResourceExhausted, { "grpc-retry-pushback-ms": "100" }),
    ],
    ["an open breaker", rejection(MeshError.BREAKER_OPEN, "open")],
    ["a full bulkhead", rejection(MeshError.BULKHEAD_FULL, "full")],
    [
      "a call for which no time was left",
      rejection(MeshError.DEADLINE_BUDGET_EXHAUSTED, "late", "TOTAL_TIMEOUT"),
    ],
  ])("for %s", async (_, error) => {
    const { call } = falling([{ error }], { get: () => ({ text: "own" }) });
    expect(await call()).toMatchObject({ text: "own", how: "fallback" });
  });

  test.each([
    Code.NotFound,
    Code.InvalidArgument,
    Code.PermissionDenied,
    Code.Internal,
    Code.Aborted,
    Code.ResourceExhausted,
    Code.Canceled,
  ])("not for code %d, which is an answer", async (code) => {
    const error = statusError(code);
    const { call, told } = falling([{ error }], { get: () => ({ text: "own" }) });
    expect((await call()).error).toBe(error);
    expect(told).toEqual([]);
  });

  test("not for a caller that has left", async () => {
    const leaving = new AbortController();
    const { begin, clock } = falling([{ never: true }], { get: () => ({ text: "own" }) });
    const answer = begin(unaryRequest(GET, { signal: leaving.signal }));
    await settled();
    leaving.abort();
    await expect(answer).rejects.toBeDefined();
    expect(await isQuiet(clock)).toBe(true);
    const next = async () => {
      throw statusError(Code.Unavailable);
    };
    const own = fallback({ clock, service, fallbacks: { get: () => ({ text: "own" }) } });
    const late = through([own], next)(unaryRequest(GET, { signal: leaving.signal }));
    await expect(late).rejects.toMatchObject({ code: Code.Unavailable });
  });

  test("not for another method, a stream, or another service", async () => {
    const own = { get: () => ({ text: "own" }), watch: () => ({ text: "own" }) };
    const error = statusError(Code.Unavailable);
    const { call } = falling([{ error }], own);
    expect((await call(unaryRequest(methodNamed(service, "Put")))).error).toBe(error);
    expect((await call(streamRequest(methodNamed(service, "Watch")))).error).toBe(error);
    const other = toyContract({
      Get: { idempotency: "IDEMPOTENT", policy: { fallback: { allowed: true } } },
    });
    expect((await call(unaryRequest(methodNamed(other, "Get")))).error).toBe(error);
  });
});

describe("the caller's code has 50 ms", () => {
  const within = (afterMs: number, options: FallbackOptions = {}) => {
    const clock = manualClock();
    const get = async () => {
      await clock.sleep(afterMs);
      return { text: "own" };
    };
    return falling([UNAVAILABLE], { get }, options, clock);
  };

  test("and answers within them", async () => {
    expect(await within(49).call()).toMatchObject({ text: "own", atMs: 49 });
  });

  test("and not more: then the error is the call's", async () => {
    expect(await within(1_000).call()).toMatchObject({ error: UNAVAILABLE.error, atMs: 50 });
  });

  test("and less if the caller has less left (its deadline is not the policy's)", async () => {
    expect(await within(30, { callerLeftMs: () => 20 }).call()).toMatchObject({
      error: UNAVAILABLE.error,
      atMs: 20,
    });
    const late = falling([UNAVAILABLE], { get: () => ({ text: "own" }) }, { callerLeftMs: () => 0 });
    expect((await late.call()).error).toMatchObject({ code: Code.DeadlineExceeded });
  });

  test("and leaves no timer", async () => {
    const { call, clock } = falling([UNAVAILABLE], { get: () => ({ text: "own" }) });
    await call();
    expect(await isQuiet(clock)).toBe(true);
  });

  test("and if it fails, the server's error is the call's", async () => {
    for (const get of [
      () => {
        throw new Error("own");
      },
      () => Promise.reject(new Error("own")),
    ]) {
      const { call, told } = falling([UNAVAILABLE], { get });
      expect((await call()).error).toBe(UNAVAILABLE.error);
      expect(told).toEqual([]);
    }
  });
});

describe("an answer that was kept", () => {
  test("stands in at once, before the caller's code, and is marked stale (F1)", async () => {
    const { call, clock, told } = falling([{ answer: "kept" }, UNAVAILABLE], {
      find: () => ({ text: "own" }),
    });
    await call(unaryRequest(FIND));
    clock.advance(500);
    expect(await call(unaryRequest(FIND))).toMatchObject({ text: "kept", how: "stale", atMs: 500 });
    expect(told).toEqual(["stale"]);
  });

  test("stands in for a call that took too long, when its time is over (F1)", async () => {
    const { call, clock } = falling([{ answer: "kept" }, { never: true }]);
    await call(unaryRequest(FIND));
    clock.advance(500);
    const hurried = unaryRequest(FIND, { header: { "grpc-timeout": "20m" } });
    expect(await call(hurried)).toMatchObject({ text: "kept", how: "stale", atMs: 520 });
  });

  test("that is too old gives way to the caller's code", async () => {
    const { call, clock } = falling([{ answer: "kept" }, UNAVAILABLE], { find: () => ({ text: "own" }) });
    await call(unaryRequest(FIND));
    clock.advance(1_100);
    expect(await call(unaryRequest(FIND))).toMatchObject({ text: "own", how: "fallback" });
  });

  test("is never what the caller's code answered", async () => {
    const { call, kept } = falling([UNAVAILABLE], { find: () => ({ text: "own" }) });
    await call(unaryRequest(FIND));
    expect(kept.size).toBe(0);
    expect(kept.staleIfError(unaryRequest(FIND))).toBeUndefined();
  });
});

test("no breaker takes the caller's answer for a success", async () => {
  const clock = manualClock();
  const judge = breaker(policies().service(service).breaker, { clock });
  const { next } = scripted(clock, [UNAVAILABLE]);
  const own = fallback({ clock, service, fallbacks: { get: () => ({ text: "own" }) } });
  const call = through([own, circuitBreaker({ clock, breakerOf: () => judge })], next);
  for (let n = 0; n < 5; n++) expect(textOf(await call(unaryRequest(GET)))).toBe("own");
  expect(judge.describe()).toMatchObject({ state: "OPEN", failures: 5 });
  expect(textOf(await call(unaryRequest(GET)))).toBe("own");
});

test("a fallback for a method whose contract allows none, or that does not exist, is refused at once", () => {
  const given = (fallbacks: Record<string, () => unknown>) => () => fallback({ service, fallbacks });
  expect(given({ put: () => ({}) })).toThrow(`the contract of ${service.typeName}/put allows no fallback`);
  expect(given({ forget: () => ({}) })).toThrow(
    `the contract of ${service.typeName}/forget allows no fallback`,
  );
  expect(given({ get: () => ({}) })).not.toThrow();
});
