import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type HandlerContext,
} from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import { Jitter, type RetrySchema } from "../../gen/mesh/policy/v1/policy_pb.ts";
import { type Delivery, DeliveryError } from "../core/delivery.ts";
import { manualClock } from "../testing/clock.ts";
import { random } from "../testing/random.ts";
import { virtualClock } from "../testing/simulator/virtual-clock.ts";
import {
  ended,
  isQuiet,
  messagesOf,
  pass,
  type StatedServicePolicy,
  type Step,
  scripted,
  settled,
  statusError,
  streamRequest,
  type ToyRequest,
  type ToyResponse,
  textOf,
  through,
  toyMethod,
  unaryRequest,
} from "../testing/toy-calls.ts";
import { duration } from "../testing/toy-client.ts";
import { toyService } from "../testing/toy-service.ts";
import { attemptTimeout } from "./attempt.ts";
import type { Request } from "./call.ts";
import { totalDeadline } from "./deadline.ts";
import { latencies } from "./latency.ts";
import { outcomeOf } from "./outcome.ts";
import { rejection } from "./rejection.ts";
import { isRetryExhausted, type RetryOptions, retry } from "./retry.ts";
import type { RetryGate } from "./retry-gate.ts";

type Retry = Omit<MessageInitShape<typeof RetrySchema>, "$typeName">;

const PLENTY: StatedServicePolicy = { gate: { case: "retryBudget", value: { minPerSecond: 1_000 } } };

/** A method whose calls may take 10 s and wait 40, 80, 160 ms between their attempts, with budget for each. */
function method(stated: Retry = {}, rest: Parameters<typeof toyMethod>[1] = {}) {
  const waits = { initialBackoff: duration(40), maxBackoff: duration(10_000), jitter: Jitter.NONE };
  const redundancy = { case: "retry" as const, value: { ...waits, ...stated } };
  return toyMethod(
    { timeout: duration(10_000), redundancy },
    { idempotency: "IDEMPOTENT", service: PLENTY, ...rest },
  );
}

/** A call through retry and what stands above and below it, whose attempts go as scripted. */
function calling(
  steps: readonly Step[],
  request: Request = unaryRequest(method()),
  options: RetryOptions = {},
) {
  const clock = manualClock();
  const { next, seen, times } = scripted(clock, steps);
  const told: unknown[][] = [];
  const stack = [
    totalDeadline({ clock }),
    retry({
      clock,
      random: () => 0.5,
      onRetry: (_, how, delayMs) => void told.push([how, delayMs]),
      onSuppressed: (_, why) => void told.push([why]),
      ...options,
    }),
    attemptTimeout({ clock }),
  ];
  const answer = through(stack, next)(request);
  answer.catch(() => {});
  const previous = () => seen.map(({ header }) => header["grpc-previous-rpc-attempts"]);
  return { clock, seen, times, told, answer, previous, ended: () => ended(clock, answer, 70_000) };
}

const UNAVAILABLE: Step = { error: statusError(Code.Unavailable) };
const fails = (code: Code, what: Record<string, string> = {}): Step => ({ error: statusError(code, what) });
const errorBelow = (delivery: Delivery) =>
  new ConnectError("no", Code.Unavailable, undefined, undefined, new DeliveryError(delivery, "no"));
const below = (delivery: Delivery): Step => ({ error: errorBelow(delivery) });

test("on any of Connect's transports a client's call is made again until it is answered", async () => {
  const service = toyService({
    service: { gate: { case: "retryBudget", value: { minPerSecond: 1_000 } } },
    ask: { redundancy: { case: "retry", value: { initialBackoff: duration(1) } } },
  });
  let attempts = 0;
  const ask = ({ text }: { text: string }, { requestHeader }: HandlerContext) => {
    if (++attempts < 3) throw statusError(Code.Unavailable);
    return { text: `${text} ${requestHeader.get("grpc-previous-rpc-attempts")}` };
  };
  const interceptors = [totalDeadline(), retry({ random: () => 0 }), attemptTimeout()];
  const transport = createRouterTransport((router) => router.service(service, { ask }), {
    transport: { interceptors },
  });
  expect(await createClient(service, transport).ask({ text: "after" })).toMatchObject({ text: "after 2" });
  expect(attempts).toBe(3);
});

test("an attempt that fails is followed by another, after a wait that grows", async () => {
  const call = calling([UNAVAILABLE, UNAVAILABLE, { answer: "yes" }]);
  expect(await call.ended()).toMatchObject({ atMs: 120 });
  expect(textOf(await call.answer)).toBe("yes");
  expect(call.times()).toEqual([0, 40, 120]);
  expect(call.previous()).toEqual([undefined, "1", "2"]);
  expect(call.told).toEqual([
    ["retry", 40],
    ["retry", 80],
  ]);
  expect(await isQuiet(call.clock)).toBe(true);
});

test("the last attempt's error is the call's, as it came", async () => {
  const errors = [1, 2, 3, 4].map(() => statusError(Code.Unavailable));
  const call = calling(errors.map((error) => ({ error })));
  expect((await call.ended()).error).toBe(errors[2]);
  expect(call.seen).toHaveLength(3);
  expect(call.told.at(-1)).toEqual(["ATTEMPTS"]);
});

test("what each attempt tells the server grows less by what has passed (D3, B6)", async () => {
  const failing: Step = { ...UNAVAILABLE, afterMs: 100 };
  const header = { "grpc-timeout": "1000m" };
  const call = calling([failing, failing, { answer: "yes" }], unaryRequest(method(), { header }));
  await call.ended();
  expect(call.seen.map((each) => each.header["grpc-timeout"])).toEqual(["1S", "860m", "680m"]);
});

test("attempts of 100 ms each are cut, and the last has all that is left (D3)", async () => {
  const header = { "grpc-timeout": "1000m" };
  const request = unaryRequest(method({ attemptTimeout: duration(100) }), { header });
  const call = calling([{ never: true }], request);
  const { error, atMs } = await call.ended();
  expect(call.seen.map((each) => each.header["grpc-timeout"])).toEqual(["100m", "100m", "680m"]);
  expect(call.times()).toEqual([0, 140, 320]);
  expect(outcomeOf(error).kind).toBe("TOTAL_TIMEOUT");
  expect(atMs).toBe(1_000);
});

test("an attempt that no budget lets another follow is the last: it is not cut, and has all that is left", async () => {
  // A budget for one retry in ten seconds.
  const service = { gate: { case: "retryBudget" as const, value: { minPerSecond: 0.1, ratio: 0.001 } } };
  const header = { "grpc-timeout": "1000m" };
  const contract = method({ attemptTimeout: duration(100) }, { service });
  const slow: Step = { answer: "late", afterMs: 700 };
  const call = calling([{ never: true }, slow], unaryRequest(contract, { header }));
  expect(await call.ended()).toMatchObject({ atMs: 840 });
  expect(call.seen.map((each) => each.header["grpc-timeout"])).toEqual(["100m", "860m"]);
  expect(textOf(await call.answer)).toBe("late");
});

describe("a server's pushback (R4, B11)", () => {
  test("is waited for, to the millisecond", async () => {
    const call = calling([fails(Code.Unavailable, { "grpc-retry-pushback-ms": "200" }), { answer: "yes" }]);
    await call.ended();
    expect(call.times()).toEqual([0, 200]);
    expect(call.told).toEqual([["retry", 200]]);
  });

  test("of nothing is no wait", async () => {
    const call = calling([fails(Code.Unavailable, { "grpc-retry-pushback-ms": "0" }), { answer: "yes" }]);
    expect(await call.ended()).toMatchObject({ atMs: 0 });
    expect(call.seen).toHaveLength(2);
  });

  test.each(["-1", "abc", "", "99999999", "30001", "1.5", "+5"])("of %j ends the call", async (pushback) => {
    const call = calling([fails(Code.Unavailable, { "grpc-retry-pushback-ms": pushback })]);
    expect(await call.ended()).toMatchObject({ atMs: 0 });
    expect(call.seen).toHaveLength(1);
    expect(call.told).toEqual([]);
  });

  test("begins the waits anew (A6)", async () => {
    const pushed = fails(Code.Unavailable, { "grpc-retry-pushback-ms": "7" });
    const request = unaryRequest(method({ maxAttempts: 5 }));
    const call = calling([UNAVAILABLE, UNAVAILABLE, pushed, UNAVAILABLE, { answer: "yes" }], request);
    await call.ended();
    expect(call.told.map(([, delayMs]) => delayMs)).toEqual([40, 80, 7, 40]);
  });

  test("is above what RetryInfo says; that is a least wait", async () => {
    const retryDelay = { seconds: 0n, nanos: 60_000_000 };
    const error = statusError(Code.Unavailable);
    error.details.push({ desc: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay }) });
    const request = () => unaryRequest(method());
    const alone = calling([{ error }, { error }, { answer: "yes" }], request());
    await alone.ended();
    expect(alone.told.map(([, delayMs]) => delayMs)).toEqual([60, 80]);
    const both = new ConnectError(
      "no",
      Code.Unavailable,
      { "grpc-retry-pushback-ms": "20" },
      error.details.slice() as never,
    );
    const pushed = calling([{ error: both }, { answer: "yes" }], request());
    await pushed.ended();
    expect(pushed.told.map(([, delayMs]) => delayMs)).toEqual([20]);
  });

  test("that is longer than what is left ends the call", async () => {
    const pushed = fails(Code.Unavailable, { "grpc-retry-pushback-ms": "10000" });
    const call = calling([pushed], unaryRequest(method(), { header: { "grpc-timeout": "10001m" } }));
    expect(await call.ended()).toMatchObject({ atMs: 0 });
    expect(call.told).toEqual([["TIME"]]);
  });
});

describe("a method of which nothing is known (R5)", () => {
  const unknown = () => unaryRequest(toyMethod({}, { service: PLENTY }));

  test("is not called again after a plain UNAVAILABLE, nor after a connection that broke", async () => {
    for (const step of [UNAVAILABLE, below("LOST"), fails(Code.DeadlineExceeded)]) {
      const call = calling([step], unknown());
      await call.ended();
      expect(call.seen).toHaveLength(1);
      expect(call.told).toEqual([]);
    }
  });

  test.each<[string, Step]>([
    ["SHED", fails(Code.Unavailable, { reason: "SHED" })],
    ["DRAINING", fails(Code.Unavailable, { reason: "DRAINING" })],
    ["REFUSED_STREAM", below("REFUSED")],
    ["nobody there (ECONNREFUSED)", below("NOT_SENT")],
  ])("is called again after what was not begun: %s", async (_, step) => {
    const call = calling([step, { answer: "yes" }], unknown());
    expect(textOf((await call.ended()).value ?? expect.fail())).toBe("yes");
    expect(call.seen).toHaveLength(2);
  });

  test("is called again after a code that its contract says means that", async () => {
    const aborts = toyMethod({ notProcessedCodes: [Code.Aborted] }, { service: PLENTY });
    const call = calling([fails(Code.Aborted), { answer: "yes" }], unaryRequest(aborts));
    await call.ended();
    expect(call.seen).toHaveLength(2);
  });

  test("is called again with its key", async () => {
    const keyed = toyMethod({ idempotencyKeyField: "request_id" }, { service: PLENTY });
    const carrying = unaryRequest(keyed, { message: { requestId: "r1" } });
    const keeping = calling([UNAVAILABLE, { answer: "yes" }], carrying);
    const without = calling([UNAVAILABLE, { answer: "yes" }], unaryRequest(keyed));
    await Promise.all([keeping.ended(), without.ended()]);
    expect([keeping.seen.length, without.seen.length]).toEqual([2, 1]);
  });
});

describe("what never left, or was refused unread (R7)", () => {
  test("refused once: again at once, uncounted; twice: an attempt", async () => {
    const refused = below("REFUSED");
    const call = calling([refused, refused, { answer: "yes" }]);
    await call.ended();
    expect(call.times()).toEqual([0, 0, 40]);
    expect(call.previous()).toEqual([undefined, undefined, "1"]);
    expect(call.told).toEqual([
      ["transparent", 0],
      ["retry", 40],
    ]);
  });

  test("not sent: three times uncounted, after 0, 10 and 50 ms, and then an attempt each", async () => {
    const call = calling([below("NOT_SENT")]);
    await call.ended();
    expect(call.times()).toEqual([0, 0, 10, 60, 100, 180]);
    expect(call.previous()).toEqual([undefined, undefined, undefined, undefined, "1", "2"]);
    expect(call.told).toEqual([
      ["transparent", 0],
      ["transparent", 10],
      ["transparent", 50],
      ["retry", 40],
      ["retry", 80],
      ["ATTEMPTS"],
    ]);
  });

  test("costs no budget, and needs none", async () => {
    const no = () => false;
    const refusing: RetryGate = {
      deposit() {},
      tryWithdraw: no,
      mayWithdraw: no,
      ended() {},
      balance: () => 0,
    };
    const call = calling([below("NOT_SENT"), below("REFUSED"), { answer: "yes" }], undefined, {
      gateOf: () => refusing,
    });
    await call.ended();
    expect(call.seen).toHaveLength(3);
  });

  test("ends with the call's time", async () => {
    const request = unaryRequest(method(), { header: { "grpc-timeout": "11m" } });
    const call = calling([below("NOT_SENT")], request);
    await call.ended();
    expect(call.times()).toEqual([0, 0]);
    expect(call.told).toEqual([["transparent", 0], ["TIME"]]);
  });
});

describe("nothing more is tried", () => {
  test.each([
    Code.InvalidArgument,
    Code.NotFound,
    Code.Aborted,
    Code.Internal,
    Code.ResourceExhausted,
    Code.Canceled,
  ])("after code %d, which is the server's answer", async (code) => {
    const call = calling([fails(code)]);
    await expect(call.answer).rejects.toMatchObject({ code });
    expect(call.seen).toHaveLength(1);
  });

  test("after what a policy of this process refused", async () => {
    const call = calling([{ error: rejection(MeshError.BULKHEAD_FULL, "full") }]);
    await expect(call.answer).rejects.toMatchObject({ code: Code.Unavailable });
    expect(call.seen).toHaveLength(1);
  });

  test("that could not end in the time which is left, by what such a call usually takes", async () => {
    const clock = manualClock();
    const observed = latencies(clock);
    for (let n = 0; n < 100; n++) observed.record(100);
    const header = { "grpc-timeout": "130m" };
    const request = () => unaryRequest(method(), { header });
    const usual = calling([UNAVAILABLE], request(), { latenciesOf: () => observed });
    await usual.ended();
    expect(usual.told).toEqual([["TIME"]]);
    const unknown = calling([UNAVAILABLE, { answer: "yes" }], request());
    await unknown.ended();
    expect(unknown.seen).toHaveLength(2);
  });

  test("when the request is large (R11)", async () => {
    const toyId = "x".repeat(300 * 1024);
    const call = calling([UNAVAILABLE], unaryRequest(method(), { message: { toyId } }));
    await expect(call.answer).rejects.toMatchObject({ code: Code.Unavailable });
    expect(call.seen).toHaveLength(1);
    expect(call.told).toEqual([["SIZE"]]);
    const smaller = calling(
      [UNAVAILABLE, { answer: "yes" }],
      unaryRequest(method(), { message: { toyId: toyId.slice(0, 255 * 1024) } }),
    );
    await smaller.ended();
    expect(smaller.seen).toHaveLength(2);
  });

  test("when the method is not to be retried", async () => {
    const call = calling([UNAVAILABLE], unaryRequest(method({ maxAttempts: 1 })));
    await expect(call.answer).rejects.toMatchObject({ code: Code.Unavailable });
    expect(call.seen).toHaveLength(1);
  });
});

describe("a caller that leaves", () => {
  test("while the call waits for its next attempt is told at once, and leaves no timer (R9)", async () => {
    const leaving = new AbortController();
    const clock = manualClock();
    const { next, seen } = scripted(clock, [UNAVAILABLE]);
    const answer = through([retry({ clock })], next)(unaryRequest(method(), { signal: leaving.signal }));
    answer.catch(() => {});
    await clock.whenSleeping(1);
    await pass(clock, 10);
    leaving.abort(new Error("gone"));
    const error = await answer.catch((thrown: unknown) => thrown);
    expect(outcomeOf(error)).toMatchObject({ kind: "CALLER_CANCEL", code: Code.Canceled });
    expect({ quiet: await isQuiet(clock), nowMs: clock.now() }).toEqual({ quiet: true, nowMs: 10 });
    await pass(clock, 1_000);
    expect(seen).toHaveLength(1);
  });

  test("while an attempt is made gets no other", async () => {
    const leaving = new AbortController();
    const call = calling([{ never: true }], unaryRequest(method(), { signal: leaving.signal }));
    await settled();
    leaving.abort();
    await expect(call.answer).rejects.toMatchObject({ code: Code.Canceled });
    expect(await isQuiet(call.clock)).toBe(true);
    await pass(call.clock, 1_000);
    expect(call.seen).toHaveLength(1);
  });

  test("is not asked again for, though the server's answer says that it may be", async () => {
    const leaving = new AbortController();
    const clock = manualClock();
    let attempts = 0;
    const next = async () => {
      attempts++;
      leaving.abort();
      throw statusError(Code.Unavailable);
    };
    const answer = through([retry({ clock })], next)(unaryRequest(method(), { signal: leaving.signal }));
    await expect(answer).rejects.toMatchObject({ code: Code.Unavailable });
    expect(attempts).toBe(1);
  });
});

describe("what bounds the retries of a target", () => {
  /** Calls one after the other, one each `everyMs`, of which all attempts fail; attempts in all. */
  async function attemptsOf(calls: number, everyMs: number, service: StatedServicePolicy, maxAttempts = 4) {
    const clock = virtualClock();
    const { next, seen } = scripted(clock, [UNAVAILABLE]);
    const failing = method(
      { maxAttempts, initialBackoff: duration(1), maxBackoff: duration(1) },
      { service },
    );
    const call = through([totalDeadline({ clock }), retry({ clock, random: random(1).next })], next);
    for (let n = 0; n < calls; n++) {
      call(unaryRequest(failing)).catch(() => {});
      await clock.runUntil((n + 1) * everyMs);
    }
    return seen.length;
  }

  test("a throttle of 10 tokens: 300 calls that all fail make 303 attempts (R3, B14)", async () => {
    const gate = { case: "retryThrottle" as const, value: { maxTokens: 10, tokenRatio: 0.1 } };
    expect(await attemptsOf(300, 100, { gate })).toBe(303);
  });

  test("a throttle of 10 tokens: 50 at once make no other", async () => {
    const gate = { case: "retryThrottle" as const, value: { maxTokens: 10, tokenRatio: 0.1 } };
    expect(await attemptsOf(50, 0, { gate })).toBe(50);
  });

  test("the default budget: a fifth more, at 100 calls a second and at 5 (R1)", async () => {
    const fast = await attemptsOf(1_000, 10, {});
    expect(fast / 1_000).toBeGreaterThan(1.19);
    expect(fast / 1_000).toBeLessThanOrEqual(1.22);
    const slow = await attemptsOf(1_000, 200, {});
    expect(slow / 1_000).toBeGreaterThan(1.19);
    expect(slow / 1_000).toBeLessThanOrEqual(1.25);
  });

  test("one call takes a fifth of the budget at most", async () => {
    const gate = { case: "retryBudget" as const, value: { minPerSecond: 1.5, ratio: 0.000_1 } };
    // 15 are there: of 15, 14 and 13 a fifth is 3; of 12 it still is.
    expect(await attemptsOf(1, 1_000, { gate }, 5)).toBe(4);
  });

  test("a call without budget ends with its own error", async () => {
    const service = { gate: { case: "retryBudget" as const, value: { minPerSecond: 0.001, ratio: 0.001 } } };
    const error = statusError(Code.Unavailable);
    const call = calling([{ error }], unaryRequest(method({}, { service })));
    await expect(call.answer).rejects.toBe(error);
    expect(call.told).toEqual([["BUDGET"]]);
  });

  test("each call counts once, by its share, and each attempt's end is told", async () => {
    const noted: unknown[] = [];
    const gate: RetryGate = {
      deposit: (share) => void noted.push(["call", share]),
      tryWithdraw: (taken) => noted.push(["retry", taken]) > 0,
      mayWithdraw: () => true,
      ended: (failed) => void noted.push(failed ? "failed" : "well"),
      balance: () => 1,
    };
    const options = { gateOf: () => gate, share: () => 0.5 };
    await calling([UNAVAILABLE, UNAVAILABLE, { answer: "yes" }], undefined, options).ended();
    expect(noted).toEqual([["call", 0.5], "failed", ["retry", 0], "failed", ["retry", 1], "well"]);
    noted.length = 0;
    await calling([below("NOT_SENT"), below("REFUSED"), { answer: "yes" }], undefined, options).ended();
    expect(noted).toEqual([["call", 0.5], "well"]);
    noted.length = 0;
    await calling([fails(Code.InvalidArgument)], undefined, options).ended();
    expect(noted).toEqual([["call", 0.5]]);
    noted.length = 0;
    await calling([fails(Code.NotFound, { "grpc-retry-pushback-ms": "-1" })], undefined, options).ended();
    expect(noted).toEqual([["call", 0.5], "failed"]);
  });
});

describe("an error says that retries are used up (5.5)", () => {
  const lastOf = async (step: Step, stated: Retry = {}, call = {}) => {
    const { error } = await calling([step], unaryRequest(method(stated), call)).ended();
    return isRetryExhausted(error);
  };

  test("after the last attempt, without budget, and without time", async () => {
    expect(await lastOf(fails(Code.Unavailable))).toBe(true);
    expect(await lastOf(fails(Code.Unavailable), {}, { header: { "grpc-timeout": "41m" } })).toBe(true);
    const service = { gate: { case: "retryBudget" as const, value: { minPerSecond: 0.001, ratio: 0.001 } } };
    const { error } = await calling([fails(Code.Unavailable)], unaryRequest(method({}, { service }))).ended();
    expect(isRetryExhausted(error)).toBe(true);
  });

  test("not of a call that retries nothing, of an answer, of a large request, or of what is no error", async () => {
    expect(await lastOf(fails(Code.Unavailable), { maxAttempts: 1 })).toBe(false);
    expect(await lastOf(fails(Code.NotFound))).toBe(false);
    expect(await lastOf(fails(Code.Unavailable), {}, { message: { toyId: "x".repeat(300 * 1024) } })).toBe(
      false,
    );
    expect([undefined, null, "text"].map(isRetryExhausted)).toEqual([false, false, false]);
  });
});

describe("a stream", () => {
  const texts = (...all: string[]) => all.map((text) => ({ text }) as ToyResponse);
  const server = method({}, { streams: "server" });
  const read = async (answer: ReturnType<typeof calling>["answer"]) => {
    const response = await answer;
    if (!response.stream) return expect.fail("it is no stream");
    const seen: string[] = [];
    const error = await (async () => {
      for await (const message of response.message) seen.push((message as ToyResponse).text);
    })().catch((thrown: unknown) => thrown);
    return { seen, error };
  };

  test("of a server is begun anew up to its first message, with the same request", async () => {
    const asked: number[] = [];
    const taking = (messages: () => AsyncIterable<ToyResponse>): Step => ({
      async *stream({ message }) {
        for await (const each of message) asked.push((each as ToyRequest).n);
        yield* messages();
      },
    });
    const steps = [
      taking(() => messagesOf([], statusError(Code.Unavailable))),
      taking(() => messagesOf(texts("a", "b"))),
    ];
    const call = calling(steps, streamRequest(server, { message: { n: 7 } }));
    await call.ended();
    expect(await read(call.answer)).toEqual({ seen: ["a", "b"], error: undefined });
    expect(asked).toEqual([7, 7]);
    expect(call.times()).toEqual([0, 40]);
  });

  test("of a server that breaks after its first message is its reader's affair", async () => {
    const error = statusError(Code.Unavailable);
    const call = calling([{ stream: () => messagesOf(texts("a"), error) }], streamRequest(server));
    expect(await read(call.answer)).toEqual({ seen: ["a"], error });
    expect(call.seen).toHaveLength(1);
  });

  test.each(["client", "both"] as const)(
    "of requests (%s) is begun anew only while none was read",
    async (streams) => {
      const requests = () =>
        streamRequest(method({}, { streams }), { messages: messagesOf([{ n: 1 } as ToyRequest]) });
      const unread = calling([below("NOT_SENT"), { stream: () => messagesOf(texts("a")) }], requests());
      await unread.ended();
      expect(await read(unread.answer)).toEqual({ seen: ["a"], error: undefined });

      const clock = manualClock();
      const notSent = errorBelow("NOT_SENT");
      let attempts = 0;
      const next = async (request: Request) => {
        attempts++;
        if (request.stream) await request.message[Symbol.asyncIterator]().next();
        throw notSent;
      };
      await expect(through([retry({ clock })], next)(requests())).rejects.toMatchObject({
        code: Code.Unavailable,
      });
      expect(attempts).toBe(1);
    },
  );
});

test("a method that is hedged is not retried", async () => {
  const hedged = toyMethod({ redundancy: { case: "hedge", value: {} } });
  const call = calling([UNAVAILABLE], unaryRequest(hedged));
  await expect(call.answer).rejects.toMatchObject({ code: Code.Unavailable });
  expect(call.seen).toHaveLength(1);
  expect(call.told).toEqual([]);
});

test("waits are spread by the chance that it is given", async () => {
  const spread = { jitter: Jitter.FULL };
  const call = calling([UNAVAILABLE, UNAVAILABLE, { answer: "yes" }], unaryRequest(method(spread)), {
    random: () => 0.25,
  });
  await call.ended();
  expect(call.times()).toEqual([0, 10, 30]);
});
