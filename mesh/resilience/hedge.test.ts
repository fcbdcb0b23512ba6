import type { DescMethod, MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import type { HedgeSchema } from "../../gen/mesh/policy/v1/policy_pb.ts";
import { policies } from "../contract/policy.ts";
import { type Delivery, DeliveryError } from "../core/delivery.ts";
import { manualClock } from "../testing/clock.ts";
import {
  ended,
  isQuiet,
  messagesOf,
  pass,
  type Step,
  scripted,
  settled,
  statusError,
  streamRequest,
  type ToyResponse,
  textOf,
  through,
  toyMethod,
  unaryAnswer,
  unaryRequest,
} from "../testing/toy-calls.ts";
import { duration } from "../testing/toy-client.ts";
import { toyService } from "../testing/toy-service.ts";
import { attemptTimeout } from "./attempt.ts";
import { type Breaker, breaker } from "./breaker.ts";
import type { Request } from "./call.ts";
import { circuitBreaker } from "./circuit-breaker.ts";
import { totalDeadline } from "./deadline.ts";
import { type HedgeOptions, hedge } from "./hedge.ts";
import { latencies } from "./latency.ts";
import { outcomeOf } from "./outcome.ts";
import { HEDGE_LOST, rejection } from "./rejection.ts";
import { isRetryExhausted } from "./retry.ts";
import { hedgeBudgets, retryBudget, retryThrottle } from "./retry-gate.ts";

type Hedge = Omit<MessageInitShape<typeof HedgeSchema>, "$typeName">;

const fixed = (ms: number) => ({ case: "fixed" as const, value: duration(ms) });

/** A method that is hedged after 30 ms, with budget for each call. */
function method(stated: Hedge = {}) {
  const value = { delay: fixed(30), maxExtraLoad: 1, ...stated };
  return toyMethod({ timeout: duration(1_000), redundancy: { case: "hedge", value } });
}

/** Calls through hedging and what stands above and below it, whose attempts go as scripted. */
function hedging(steps: readonly Step[], options: HedgeOptions = {}) {
  const clock = manualClock();
  const { next, seen, times } = scripted(clock, steps);
  const told: string[] = [];
  let judge: Breaker | undefined;
  const stack = [
    totalDeadline({ clock }),
    hedge({
      clock,
      onHedge: () => void told.push("hedged"),
      onHedgeWon: () => void told.push("hedge won"),
      onRetry: (_, how, delayMs) => void told.push(`${how} ${delayMs}`),
      ...options,
    }),
    circuitBreaker({
      clock,
      breakerOf({ service }) {
        judge ??= breaker(policies().service(service).breaker, { clock, random: () => 0 });
        return judge;
      },
    }),
    attemptTimeout({ clock }),
  ];
  const call = through(stack, next);
  return {
    clock,
    seen,
    times,
    told,
    breaker: () => judge?.describe(),
    /** Makes so many calls that are answered at once, and so count towards the budget. */
    async warm(hedged: DescMethod, calls: number) {
      const fast = through(stack, async (request) => unaryAnswer(request));
      for (let n = 0; n < calls; n++) await fast(unaryRequest(hedged));
    },
    call: async (request: Request = unaryRequest(method())) => {
      const { value, error, atMs } = await ended(clock, call(request));
      return { text: value && textOf(value), error, atMs };
    },
    begin: (request: Request) => {
      const answer = call(request);
      answer.catch(() => {});
      return answer;
    },
  };
}

const never: Step = { never: true };
const fails = (code: Code, what: Record<string, string> = {}, afterMs?: number): Step => ({
  error: statusError(code, what),
  ...(afterMs !== undefined && { afterMs }),
});
const UNAVAILABLE = fails(Code.Unavailable);
const below = (delivery: Delivery): Step => {
  const cause = new DeliveryError(delivery, "no");
  return { error: new ConnectError("no", Code.Unavailable, undefined, undefined, cause) };
};

test("on any of Connect's transports a client's call is made again beside one that is slow", async () => {
  const value = { delay: fixed(1), maxExtraLoad: 1 };
  const service = toyService({ ask: { redundancy: { case: "hedge", value } } });
  const clock = manualClock();
  let attempts = 0;
  const begun = Promise.withResolvers<void>();
  const ask = ({ text }: { text: string }) => {
    if (++attempts > 1) return { text };
    begun.resolve();
    return new Promise<never>(() => {});
  };
  const transport = createRouterTransport((router) => router.service(service, { ask }), {
    transport: { interceptors: [hedge({ clock }), attemptTimeout({ clock })] },
  });
  const answer = createClient(service, transport).ask({ text: "hello" });
  await begun.promise;
  clock.advance(1);
  expect(await answer).toMatchObject({ text: "hello" });
  expect(attempts).toBe(2);
});

describe("a hedge", () => {
  test("goes beside an attempt that is slow, and the first answer wins", async () => {
    const { call, times, seen, told, clock } = hedging([never, { answer: "second", afterMs: 10 }]);
    expect(await call()).toMatchObject({ text: "second", atMs: 40 });
    expect(times()).toEqual([0, 30]);
    expect(seen.map(({ header }) => header["grpc-previous-rpc-attempts"])).toEqual([undefined, "1"]);
    expect(seen[0]?.request.header.has("grpc-previous-rpc-attempts")).toBe(false);
    expect(told).toEqual(["hedged", "hedge won"]);
    expect(await isQuiet(clock)).toBe(true);
  });

  test("does not go beside one that is fast", async () => {
    const { call, seen, told, clock } = hedging([{ answer: "first", afterMs: 29 }]);
    expect(await call()).toMatchObject({ text: "first", atMs: 29 });
    await pass(clock, 100);
    expect(seen).toHaveLength(1);
    expect(told).toEqual([]);
  });

  test("loses to a first attempt that is slow, but faster", async () => {
    const { call, seen, told } = hedging([
      { answer: "first", afterMs: 45 },
      { answer: "second", afterMs: 20 },
    ]);
    expect(await call()).toMatchObject({ text: "first", atMs: 45 });
    expect(seen).toHaveLength(2);
    expect(told).toEqual(["hedged"]);
  });

  test("follows another at the same distance, up to the number of attempts", async () => {
    const hedged = method({ maxAttempts: 4 });
    const { call, times, warm } = hedging([never]);
    await warm(hedged, 20);
    const { error, atMs } = await call(unaryRequest(hedged));
    expect(times()).toEqual([0, 30, 60, 90]);
    expect(outcomeOf(error).kind).toBe("TOTAL_TIMEOUT");
    expect(atMs).toBe(1_000);
  });

  test("waits for a millisecond at least", async () => {
    const { begin, clock, times } = hedging([never, { answer: "second" }]);
    const answer = begin(unaryRequest(method({ delay: fixed(0) })));
    for (const byMs of [0, 0.9, 0.1]) {
      await settled();
      clock.advance(byMs);
    }
    expect(textOf(await answer)).toBe("second");
    expect(times()).toEqual([0, 1]);
  });

  test("waits for the p99, and is not made before a hundred calls", async () => {
    const clock = manualClock();
    const observed = latencies(clock);
    const request = () => unaryRequest(method({ delay: { case: "percentile", value: 0.99 } }));
    const steps: Step[] = [{ answer: "first", afterMs: 500 }, { answer: "second" }];
    for (let n = 0; n < 99; n++) observed.record(100);
    const early = hedging(steps, { latenciesOf: () => observed });
    expect(await early.call(request())).toMatchObject({ text: "first", atMs: 500 });
    expect(early.seen).toHaveLength(1);
    observed.record(100);
    const later = hedging(steps, { latenciesOf: () => observed });
    const { text, atMs } = await later.call(request());
    expect(text).toBe("second");
    // Known to within 5 percent.
    expect(atMs).toBeGreaterThanOrEqual(95);
    expect(atMs).toBeLessThanOrEqual(106);
  });

  test("is not made while the target is busy", async () => {
    const { call, seen } = hedging([{ answer: "first", afterMs: 200 }], { isBusy: () => true });
    expect(await call()).toMatchObject({ text: "first" });
    expect(seen).toHaveLength(1);
  });

  test("is made while the target is busy in the place of an attempt that failed: it runs beside nothing", async () => {
    const { call, times } = hedging([{ ...UNAVAILABLE, afterMs: 5 }, { answer: "second" }], {
      isBusy: () => true,
    });
    expect(await call()).toMatchObject({ text: "second", atMs: 5 });
    expect(times()).toEqual([0, 5]);
  });
});

describe("what bounds hedges", () => {
  test("is a share of the calls, with nothing for who calls seldom", async () => {
    const { call, seen } = hedging([{ answer: "slow", afterMs: 31 }]);
    const hedged = method({ maxExtraLoad: 0.05 });
    for (let n = 0; n < 19; n++) await call(unaryRequest(hedged));
    expect(seen).toHaveLength(19);
    for (let n = 0; n < 81; n++) await call(unaryRequest(hedged));
    expect(seen).toHaveLength(100 + 5);
  });

  test("holds when every attempt fails: at most 1.07 for each call (H3, B10)", async () => {
    const { clock, begin, seen } = hedging([UNAVAILABLE]);
    const hedged = toyMethod(
      { redundancy: { case: "hedge", value: { delay: fixed(30), maxExtraLoad: 0.05 } } },
      { idempotency: "IDEMPOTENT", service: { breaker: { consecutive: 10_000, minCalls: 10_000 } } },
    );
    for (let n = 0; n < 300; n++) {
      begin(unaryRequest(hedged));
      await pass(clock, 20);
    }
    expect(seen.length).toBeGreaterThan(300);
    expect(seen.length / 300).toBeLessThanOrEqual(1.07);
  });

  test("is the gate of the target too, which hedges share with retries; what it refuses costs the method nothing", async () => {
    const clock = manualClock();
    const gate = retryBudget({ ratio: 0.2, minPerSecond: 0.1, ttlMs: 10_000 }, clock);
    const budgets = hedgeBudgets(clock);
    const { call, seen } = hedging([{ answer: "slow", afterMs: 31 }], { gateOf: () => gate, budgets });
    const hedged = method();
    await call(unaryRequest(hedged));
    expect(seen).toHaveLength(2);
    expect(gate.balance()).toBeCloseTo(0.2);
    await call(unaryRequest(hedged));
    expect(seen).toHaveLength(3);
    expect(gate.balance()).toBeCloseTo(0.4);
    expect(Object.values(budgets.balances())).toEqual([1]);
  });

  test("is a throttle that hears of every attempt: no hedge while more fails than succeeds (A6)", async () => {
    const gate = retryThrottle({ maxTokens: 4, tokenRatio: 1 });
    const answers = { answer: "well" };
    const steps = [UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, answers, answers, UNAVAILABLE];
    const { call, seen } = hedging(steps, { gateOf: () => gate });
    const attempts = async () => {
      const before = seen.length;
      await call();
      return seen.length - before;
    };
    expect([await attempts(), await attempts()]).toEqual([2, 1]);
    expect([await attempts(), await attempts(), gate.balance()]).toEqual([1, 1, 1]);
    expect(await attempts()).toBe(1);
  });

  test("counts the call of a caller that itself retries for less", async () => {
    const clock = manualClock();
    const gate = retryBudget({ ratio: 0.2, minPerSecond: 0, ttlMs: 10_000 }, clock);
    const budgets = hedgeBudgets(clock);
    const { call } = hedging([{ answer: "fast" }], { gateOf: () => gate, budgets, share: () => 0.5 });
    await call();
    expect(gate.balance()).toBeCloseTo(0.1);
    expect(Object.values(budgets.balances())).toEqual([0.5]);
  });

  test("is one budget for each method", async () => {
    const { call, seen } = hedging([{ answer: "slow", afterMs: 31 }]);
    const busy = method();
    for (let n = 0; n < 10; n++) await call(unaryRequest(busy));
    seen.length = 0;
    await call(unaryRequest(method({ maxExtraLoad: 0.05 })));
    expect(seen).toHaveLength(1);
  });
});

describe("when an attempt fails", () => {
  test("the next one goes at once, if another could be better", async () => {
    const { call, times } = hedging([{ ...UNAVAILABLE, afterMs: 5 }, { answer: "second" }]);
    expect(await call()).toMatchObject({ text: "second", atMs: 5 });
    expect(times()).toEqual([0, 5]);
  });

  test("and none could be better, the call ends and the others are given up", async () => {
    const { call, seen, clock } = hedging([never, fails(Code.InvalidArgument)]);
    const { error, atMs } = await call();
    expect(error).toMatchObject({ code: Code.InvalidArgument });
    expect(atMs).toBe(30);
    expect(seen[0]?.request.signal.aborted).toBe(true);
    expect(await isQuiet(clock)).toBe(true);
  });

  test("and the others too, the last error is the call's, and says that attempts are used up (5.5)", async () => {
    const first = statusError(Code.Unavailable);
    const last = statusError(Code.Unavailable);
    const hedged = method();
    const { call, seen, warm } = hedging([{ error: first }, { error: last, afterMs: 10 }]);
    await warm(hedged, 20);
    const { error, atMs } = await call(unaryRequest(hedged));
    expect(error).toBe(last);
    expect({ atMs, sent: seen.length }).toEqual({ atMs: 10, sent: 2 });
    expect([isRetryExhausted(first), isRetryExhausted(last)]).toEqual([false, true]);
  });

  test("and there is no budget for another, its error is the call's", async () => {
    const { call, seen } = hedging([UNAVAILABLE]);
    const { error } = await call(unaryRequest(method({ maxExtraLoad: 0.05 })));
    expect(error).toMatchObject({ code: Code.Unavailable });
    expect(isRetryExhausted(error)).toBe(true);
    expect(seen).toHaveLength(1);
  });

  test("the one under way is waited for (H4, B12)", async () => {
    const hedgeFails = fails(Code.Unavailable, { "grpc-retry-pushback-ms": "-1" });
    const { call, seen, warm } = hedging([{ answer: "first", afterMs: 150 }, hedgeFails]);
    const hedged = method({ maxAttempts: 5 });
    await warm(hedged, 40);
    expect(await call(unaryRequest(hedged))).toMatchObject({ text: "first", atMs: 150 });
    // No further hedge either: the server asked for that.
    expect(seen).toHaveLength(2);
  });

  test("and the server asked for no more, none follows though the one under way fails too", async () => {
    const hedgeFails = fails(Code.Unavailable, { "grpc-retry-pushback-ms": "-1" });
    const { call, seen, warm } = hedging([{ ...UNAVAILABLE, afterMs: 150 }, hedgeFails, { answer: "third" }]);
    const hedged = method({ maxAttempts: 5 });
    await warm(hedged, 40);
    expect(await call(unaryRequest(hedged))).toMatchObject({ text: undefined, atMs: 150 });
    expect(seen).toHaveLength(2);
  });

  test.each(["-1", "abc", ""])(
    "pushback %j without another under way ends the call (B11)",
    async (pushback) => {
      const { call, seen } = hedging([fails(Code.Unavailable, { "grpc-retry-pushback-ms": pushback })]);
      const { error, atMs } = await call();
      expect(error).toMatchObject({ code: Code.Unavailable });
      expect({ atMs, sent: seen.length }).toEqual({ atMs: 0, sent: 1 });
    },
  );

  test("the next one goes when the server says, not before", async () => {
    const { call, times } = hedging([
      fails(Code.Unavailable, { "grpc-retry-pushback-ms": "120" }),
      { answer: "second" },
    ]);
    expect(await call()).toMatchObject({ text: "second", atMs: 120 });
    expect(times()).toEqual([0, 120]);
  });

  test("and the server's pushback is longer than what is left, the call ends", async () => {
    const { call, seen } = hedging([fails(Code.Unavailable, { "grpc-retry-pushback-ms": "999" })]);
    expect(await call()).toMatchObject({ atMs: 0 });
    expect(seen).toHaveLength(1);
  });

  test("and there is no budget once the pushback is over, its error is the call's", async () => {
    const error = statusError(Code.Unavailable, { "grpc-retry-pushback-ms": "50" });
    const { call } = hedging([{ error }]);
    expect(await call(unaryRequest(method({ maxExtraLoad: 0.05 })))).toMatchObject({ error, atMs: 50 });
  });

  test("because this process refused, the others are waited for, and no more are sent", async () => {
    const refused: Step = { error: rejection(MeshError.NO_ENDPOINT, "nobody") };
    const hedged = method({ maxAttempts: 5 });
    const { call, seen, warm } = hedging([{ answer: "first", afterMs: 150 }, refused]);
    await warm(hedged, 40);
    expect(await call(unaryRequest(hedged))).toMatchObject({ text: "first", atMs: 150 });
    expect(seen).toHaveLength(2);
    const alone = hedging([refused]);
    const { error, atMs } = await alone.call();
    expect(outcomeOf(error)).toMatchObject({ kind: "LOCAL_REJECT", reason: "NO_ENDPOINT" });
    expect({ atMs, isExhausted: isRetryExhausted(error) }).toEqual({ atMs: 0, isExhausted: false });
  });
});

describe("what never left, or was refused unread", () => {
  const poor = () => unaryRequest(method({ maxExtraLoad: 0.05 }));

  test("is made good at once, needs no budget, and is the same attempt (R7)", async () => {
    const { call, seen, told } = hedging([below("NOT_SENT"), below("REFUSED"), { answer: "yes" }]);
    expect(await call(poor())).toMatchObject({ text: "yes", atMs: 0 });
    expect(seen.map(({ header }) => header["grpc-previous-rpc-attempts"])).toEqual(Array(3).fill(undefined));
    expect(told).toEqual(["transparent 0", "transparent 0"]);
  });

  test("not sent: three times; refused: once", async () => {
    const unsent = hedging([below("NOT_SENT")]);
    expect(await unsent.call(poor())).toMatchObject({ atMs: 60 });
    expect(unsent.times()).toEqual([0, 0, 10, 60]);
    const refused = hedging([below("REFUSED")]);
    expect(await refused.call(poor())).toMatchObject({ atMs: 0 });
    expect(refused.seen).toHaveLength(2);
  });

  test("counts as under way while it waits", async () => {
    const { call, times } = hedging([
      below("NOT_SENT"),
      below("NOT_SENT"),
      below("NOT_SENT"),
      { answer: "hedge", afterMs: 100 },
      { answer: "first", afterMs: 5 },
    ]);
    expect(await call()).toMatchObject({ text: "first", atMs: 65 });
    expect(times()).toEqual([0, 0, 10, 30, 60]);
  });

  test("is not made again for a caller that has left", async () => {
    const leaving = new AbortController();
    const request = unaryRequest(method(), { signal: leaving.signal });
    const { clock, begin, seen } = hedging([below("NOT_SENT")]);
    const answer = begin(request);
    await pass(clock, 5);
    leaving.abort();
    await expect(answer).rejects.toMatchObject({ code: Code.Canceled });
    await settled();
    expect(await isQuiet(clock)).toBe(true);
    expect(seen).toHaveLength(2);
  });
});

describe("attempts that lose (H5)", () => {
  test("are given up at once, with a reason that blames nobody", async () => {
    const hedged = method({ maxAttempts: 3 });
    const { call, seen, breaker, clock, warm } = hedging([never, never, { answer: "third" }]);
    await warm(hedged, 20);
    await call(unaryRequest(hedged));
    expect(clock.now()).toBe(60);
    for (const { request } of seen.slice(0, 2)) expect(request.signal.reason).toBe(HEDGE_LOST);
    expect(outcomeOf(HEDGE_LOST).kind).toBe("HEDGE_LOST");
    await settled();
    expect(breaker()).toMatchObject({ calls: 21, failures: 0 });
  });

  test("do not open a breaker, however many they are", async () => {
    const { call, breaker, seen } = hedging([never, { answer: "second" }]);
    const hedged = method();
    for (let n = 0; n < 30; n++) {
      // Begins the script anew.
      seen.length = 0;
      expect(await call(unaryRequest(hedged))).toMatchObject({ text: "second" });
    }
    expect(breaker()).toMatchObject({ state: "CLOSED", failures: 0 });
  });
});

describe("a caller", () => {
  test("that leaves gives up every attempt at once, and no timer is left", async () => {
    const leaving = new AbortController();
    const { clock, begin, seen } = hedging([never]);
    const answer = begin(unaryRequest(method({ maxAttempts: 3 }), { signal: leaving.signal }));
    await pass(clock, 40);
    expect(seen).toHaveLength(2);
    leaving.abort();
    const error = await answer.catch((thrown: unknown) => thrown);
    expect(outcomeOf(error)).toMatchObject({ kind: "CALLER_CANCEL", code: Code.Canceled });
    expect(seen.every(({ request }) => request.signal.aborted)).toBe(true);
    expect(await isQuiet(clock)).toBe(true);
    await pass(clock, 100);
    expect(seen).toHaveLength(2);
  });

  test("that has left before is sent nothing for", async () => {
    const { begin, seen, clock } = hedging([{ answer: "yes" }]);
    const answer = begin(unaryRequest(method(), { signal: AbortSignal.abort() }));
    await expect(answer).rejects.toMatchObject({ code: Code.Canceled });
    expect(seen).toEqual([]);
    expect(await isQuiet(clock)).toBe(true);
  });
});

describe("is not hedged:", () => {
  test("a method whose policy does not say so", async () => {
    const { call, seen } = hedging([{ answer: "first", afterMs: 500 }]);
    expect(await call(unaryRequest(toyMethod()))).toMatchObject({ text: "first" });
    expect(seen).toHaveLength(1);
  });

  test("a stream", async () => {
    const stated = { redundancy: { case: "hedge" as const, value: { delay: fixed(1), maxExtraLoad: 1 } } };
    const watched = toyMethod(stated, { streams: "server", idempotency: "IDEMPOTENT" });
    const { begin, seen, clock } = hedging([
      { stream: () => messagesOf([{ text: "a" } as ToyResponse]), afterMs: 100 },
    ]);
    const { value } = await ended(clock, begin(streamRequest(watched)));
    expect(value?.stream).toBe(true);
    expect(seen).toHaveLength(1);
  });
});
