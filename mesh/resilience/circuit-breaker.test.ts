import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { Jitter } from "../../gen/mesh/policy/v1/policy_pb.ts";
import { policies, servicePolicy } from "../contract/policy.ts";
import { manualClock } from "../testing/clock.ts";
import { refusalOf } from "../testing/refusal.ts";
import {
  ended,
  messagesOf,
  type StatedPolicy,
  type Step,
  scripted,
  settled,
  statusError,
  streamRequest,
  type ToyResponse,
  through,
  toyMethod,
  unaryRequest,
} from "../testing/toy-calls.ts";
import { duration } from "../testing/toy-client.ts";
import { toyService } from "../testing/toy-service.ts";
import { attemptTimeout } from "./attempt.ts";
import { breaker } from "./breaker.ts";
import { type CircuitBreakerOptions, circuitBreaker } from "./circuit-breaker.ts";
import { totalDeadline } from "./deadline.ts";
import { latencies } from "./latency.ts";
import { HEDGE_LOST } from "./rejection.ts";
import { retry } from "./retry.ts";

const UNAVAILABLE: Step = { error: statusError(Code.Unavailable) };
const OPEN = { code: "Unavailable", reason: "BREAKER_OPEN", domain: "mesh.weft" };
const DEFAULTS = servicePolicy(toyService()).breaker;

/** An endpoint that goes by its steps, with one breaker before it whose waits have no chance in them. */
function guarded(steps: readonly Step[], options: CircuitBreakerOptions = {}, stated: StatedPolicy = {}) {
  const clock = manualClock();
  const changes: string[] = [];
  const gate = breaker(DEFAULTS, {
    clock,
    random: () => 0,
    onChange: (from, to, reason) => void changes.push(`${from}-${to} ${reason}`),
  });
  const { next, seen } = scripted(clock, steps);
  const method = toyMethod({ timeout: duration(1_000), ...stated });
  const stack = [
    totalDeadline({ clock }),
    circuitBreaker({ clock, breakerOf: () => gate, ...options }),
    attemptTimeout({ clock }),
  ];
  const send = (header: Record<string, string> = {}, signal?: AbortSignal) =>
    through(stack, next)(unaryRequest(method, { header, ...(signal && { signal }) }));
  async function sendAll(count: number, header?: Record<string, string>): Promise<void> {
    for (let n = 0; n < count; n++) await ended(clock, send(header));
  }
  const counted = () => {
    const { calls, failures } = gate.describe();
    return { calls, failures };
  };
  return { clock, changes, gate, seen, send, sendAll, counted };
}

test("a call is one sample; a good answer is a success", async () => {
  const { sendAll, counted } = guarded([{ answer: "yes" }, UNAVAILABLE, { answer: "yes" }]);
  await sendAll(3);
  expect(counted()).toEqual({ calls: 3, failures: 1 });
});

test("an endpoint that failed five times in a row is sent nothing; its caller learns so at once", async () => {
  const rejected: string[] = [];
  const { clock, seen, send, sendAll } = guarded([UNAVAILABLE], {
    onRejected: ({ method }) => void rejected.push(method.name),
  });
  await sendAll(5);
  expect(await refusalOf(send())).toEqual(OPEN);
  expect(await refusalOf(send())).toEqual(OPEN);
  expect(seen).toHaveLength(5);
  expect(rejected).toEqual(["Get", "Get"]);
  expect(clock.now()).toBe(0);
});

test("a refusal is no sample: it neither lengthens the wait nor dilutes the share (B18)", async () => {
  const { clock, gate, send, sendAll } = guarded([UNAVAILABLE]);
  await sendAll(5);
  const before = gate.describe();
  for (let n = 0; n < 50; n++) await refusalOf(send());
  expect(gate.describe()).toEqual(before);
  clock.advance(1_000);
  await sendAll(1);
  expect(gate.describe()).toMatchObject({ state: "OPEN", trips: 2 });
});

describe("what is forced", () => {
  test("is sent though the breaker is open, and not counted", async () => {
    const rejected: unknown[] = [];
    const { gate, seen, sendAll } = guarded([UNAVAILABLE], {
      isForced: () => true,
      onRejected: (request) => void rejected.push(request),
    });
    await sendAll(5);
    const before = gate.describe();
    await sendAll(5);
    expect(seen).toHaveLength(10);
    expect(gate.describe()).toEqual(before);
    expect(rejected).toEqual([]);
  });

  test("is the probe when its time has come", async () => {
    const fails = Array.from({ length: 5 }, () => UNAVAILABLE);
    const { clock, changes, sendAll } = guarded([...fails, { answer: "yes" }], { isForced: () => true });
    await sendAll(5);
    clock.advance(1_000);
    await sendAll(1);
    expect(changes.at(-1)).toBe("HALF_OPEN-CLOSED PROBES_SUCCEEDED");
  });

  test("is not sent where an operator has closed the way", async () => {
    const { gate, seen, send } = guarded([{ answer: "yes" }], { isForced: () => true });
    gate.order("FORCED_OPEN");
    expect(await refusalOf(send())).toEqual(OPEN);
    expect(seen).toEqual([]);
  });
});

describe("an endpoint is not blamed", () => {
  test("for a caller who has 5 ms left (C9)", async () => {
    const { clock, sendAll, counted, changes } = guarded([{ never: true }]);
    await sendAll(30, { "grpc-timeout": "5m" });
    expect(clock.now()).toBe(150);
    expect(counted()).toEqual({ calls: 0, failures: 0 });
    expect(changes).toEqual([]);
  });

  test("for a caller who leaves; its probe goes to the next (C5)", async () => {
    const { clock, changes, gate, seen, send, sendAll } = guarded([
      ...Array.from({ length: 5 }, () => UNAVAILABLE),
      { never: true },
      { answer: "yes" },
    ]);
    await sendAll(5);
    clock.advance(1_000);
    const leaving = new AbortController();
    const probe = send({}, leaving.signal);
    probe.catch(() => {});
    await settled();
    expect(await refusalOf(send())).toEqual(OPEN);
    leaving.abort();
    await expect(probe).rejects.toMatchObject({ code: Code.Canceled });
    expect(gate.describe().state).toBe("HALF_OPEN");
    await sendAll(1);
    expect(changes.at(-1)).toBe("HALF_OPEN-CLOSED PROBES_SUCCEEDED");
    expect(seen).toHaveLength(7);
  });

  test("for an attempt that another one has beaten (H5)", async () => {
    const { send, counted } = guarded([{ never: true }]);
    const losing = new AbortController();
    const attempt = send({}, losing.signal);
    attempt.catch(() => {});
    await settled();
    losing.abort(HEDGE_LOST);
    await expect(attempt).rejects.toBe(HEDGE_LOST);
    expect(counted()).toEqual({ calls: 0, failures: 0 });
  });

  test("for what a policy below refused in this process", async () => {
    const { sendAll, counted } = guarded([{ answer: "yes" }]);
    // Less than two milliseconds are not sent.
    await sendAll(5, { "grpc-timeout": "1m" });
    expect(counted()).toEqual({ calls: 0, failures: 0 });
  });
});

describe("an endpoint is blamed when a call ends for want of time", () => {
  const retried = (attemptTimeoutMs: number): StatedPolicy => ({
    timeout: duration(10_000),
    redundancy: { case: "retry", value: { attemptTimeout: duration(attemptTimeoutMs) } },
  });

  test.each([
    ["had as much time as an attempt may take", 200, { calls: 5, failures: 5 }],
    ["had a millisecond less", 199, { calls: 0, failures: 0 }],
  ])("if it %s", async (_, timeoutMs, expected) => {
    const { sendAll, counted, changes } = guarded([{ never: true }], {}, retried(200));
    await sendAll(5, { "grpc-timeout": `${timeoutMs}m` });
    expect(changes).toEqual(expected.failures === 5 ? ["CLOSED-OPEN CONSECUTIVE"] : []);
    expect(counted()).toEqual(expected);
  });

  test.each([
    ["as long as its p99", 45, 1],
    ["less than its p99", 35, 0],
  ])("if it had %s", async (_, timeoutMs, failures) => {
    const observed = latencies(manualClock());
    for (let n = 0; n < 100; n++) observed.record(40);
    const { sendAll, counted } = guarded([{ never: true }], { latenciesOf: () => observed });
    await sendAll(1, { "grpc-timeout": `${timeoutMs}m` });
    expect(counted()).toEqual({ calls: failures, failures });
  });

  test.each([
    ["half of what the contract gives the call", 500, 1],
    ["less than that", 499, 0],
  ])("if it had %s and nothing else is known", async (_, timeoutMs, failures) => {
    const { sendAll, counted } = guarded([{ never: true }]);
    await sendAll(1, { "grpc-timeout": `${timeoutMs}m` });
    expect(counted()).toEqual({ calls: failures, failures });
  });
});

test("an attempt that takes longer than one may is a failure", async () => {
  const clock = manualClock();
  const gate = breaker(DEFAULTS, { clock, random: () => 0 });
  const method = toyMethod({
    timeout: duration(10_000),
    redundancy: { case: "retry", value: { maxAttempts: 2, attemptTimeout: duration(100) } },
  });
  const { next, seen } = scripted(clock, [{ never: true }, { answer: "yes" }]);
  const stack = [
    totalDeadline({ clock }),
    retry({ clock, random: () => 0.5 }),
    circuitBreaker({ clock, breakerOf: () => gate }),
    attemptTimeout({ clock }),
  ];
  await ended(clock, through(stack, next)(unaryRequest(method)));
  expect(seen).toHaveLength(2);
  expect(gate.describe()).toMatchObject({ calls: 2, failures: 1 });
});

test("a call that is slow, and slow only, counts as such", async () => {
  const clock = manualClock();
  const changes: string[] = [];
  const gate = breaker(
    { ...DEFAULTS, minCalls: 2, slow: { ratio: 1, callMs: 50 } },
    { clock, onChange: (_, __, reason) => void changes.push(reason) },
  );
  const { next } = scripted(clock, [{ answer: "yes", afterMs: 50 }]);
  const send = through([circuitBreaker({ clock, breakerOf: () => gate })], next);
  await ended(clock, send(unaryRequest(toyMethod())));
  expect(changes).toEqual([]);
  await ended(clock, send(unaryRequest(toyMethod())));
  expect(changes).toEqual(["SLOW"]);
});

test("without being told there is one breaker for each service at each origin", async () => {
  const clock = manualClock();
  const { next, seen } = scripted(clock, [UNAVAILABLE]);
  const send = through([circuitBreaker({ clock })], next);
  const [method, other] = [toyMethod(), toyMethod()];
  const at = (host: string, of = method) => send(unaryRequest(of, { url: `http://${host}/any/Method` }));
  for (let n = 0; n < 5; n++) await at("one").catch(() => {});
  expect(await refusalOf(at("one"))).toEqual(OPEN);
  expect(seen).toHaveLength(5);
  await at("two").catch(() => {});
  await at("one", other).catch(() => {});
  expect(seen).toHaveLength(7);
});

describe("a stream", () => {
  const texts = (...all: string[]) => all.map((text) => ({ text }) as ToyResponse);

  /** One stream through a breaker. */
  async function streaming(messages: AsyncIterable<ToyResponse>, streams: "server" | "both" = "server") {
    const clock = manualClock();
    const gate = breaker(DEFAULTS, { clock, random: () => 0 });
    const { next } = scripted(clock, [{ stream: () => messages }]);
    const send = through([circuitBreaker({ clock, breakerOf: () => gate })], next);
    const response = await send(streamRequest(toyMethod({}, { streams })));
    if (!response.stream) return expect.fail("it is no stream");
    const counted = () => {
      const { calls, failures } = gate.describe();
      return { calls, failures };
    };
    return { gate, counted, iterator: response.message[Symbol.asyncIterator]() };
  }

  test("of answers is a sample when its first one comes, and once", async () => {
    const { counted, iterator } = await streaming(messagesOf(texts("a", "b")));
    expect(counted()).toEqual({ calls: 0, failures: 0 });
    await iterator.next();
    expect(counted()).toEqual({ calls: 1, failures: 0 });
    await iterator.next();
    expect(await iterator.next()).toMatchObject({ done: true });
    expect(counted()).toEqual({ calls: 1, failures: 0 });
  });

  test("of no answers is a success", async () => {
    const { counted, iterator } = await streaming(messagesOf<ToyResponse>([]));
    await iterator.next();
    expect(counted()).toEqual({ calls: 1, failures: 0 });
  });

  test("that fails before its first answer is a failure and no success", async () => {
    const error = statusError(Code.Unavailable);
    const { counted, iterator } = await streaming(messagesOf<ToyResponse>([], error));
    await expect(iterator.next()).rejects.toBe(error);
    expect(counted()).toEqual({ calls: 1, failures: 1 });
  });

  test("that breaks later is one more, a failure", async () => {
    const { counted, iterator } = await streaming(messagesOf(texts("a"), statusError(Code.Unavailable)));
    await iterator.next();
    await iterator.next().catch(() => {});
    expect(counted()).toEqual({ calls: 2, failures: 1 });
  });

  test("that a working server ends with an error is no failure", async () => {
    const { counted, iterator } = await streaming(messagesOf(texts("a"), statusError(Code.NotFound)));
    await iterator.next();
    await iterator.next().catch(() => {});
    expect(counted()).toEqual({ calls: 1, failures: 0 });
  });

  test.each([
    ["that answers until its deadline is one that works", ["a"], { calls: 1, failures: 0 }],
    ["that never answers, given all its time, is a failure", [], { calls: 1, failures: 1 }],
  ])("%s", async (_, answers, expected) => {
    const clock = manualClock();
    const gate = breaker(DEFAULTS, { clock });
    async function* slowly() {
      yield* texts(...answers);
      await new Promise(() => {});
    }
    const { next } = scripted(clock, [{ stream: slowly }]);
    const stack = [
      totalDeadline({ clock }),
      circuitBreaker({ clock, breakerOf: () => gate }),
      attemptTimeout({ clock }),
    ];
    const method = toyMethod({ timeout: duration(1_000) }, { streams: "server" });
    const response = await through(stack, next)(streamRequest(method));
    if (!response.stream) return expect.fail("it is no stream");
    const { error, atMs } = await ended(clock, Array.fromAsync(response.message));
    expect(await refusalOf(Promise.reject(error))).toMatchObject({ reason: "DEADLINE_EXCEEDED" });
    expect(atMs).toBe(1_000);
    expect(gate.describe()).toMatchObject(expected);
  });

  test("whose caller leaves before its first answer tells nothing, and gives its place to another (C5)", async () => {
    const clock = manualClock();
    const gate = breaker(DEFAULTS, { clock, random: () => 0 });
    const silent: AsyncIterable<ToyResponse> = {
      [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }),
    };
    const steps: Step[] = [...Array.from({ length: 5 }, () => UNAVAILABLE), { stream: () => silent }];
    const stack = [circuitBreaker({ clock, breakerOf: () => gate }), attemptTimeout({ clock })];
    const send = through(stack, scripted(clock, steps).next);
    const method = toyMethod({}, { streams: "server" });
    for (let n = 0; n < 5; n++) await send(streamRequest(method)).catch(() => {});
    clock.advance(1_000);
    const leaving = new AbortController();
    const response = await send(streamRequest(method, { signal: leaving.signal }));
    if (!response.stream) return expect.fail("it is no stream");
    const first = response.message[Symbol.asyncIterator]().next();
    expect(gate.isOpen()).toBe(true);
    leaving.abort();
    await expect(first).rejects.toMatchObject({ code: Code.Canceled });
    expect(gate.describe().state).toBe("HALF_OPEN");
    expect(gate.isOpen()).toBe(false);
  });

  test("of requests is a sample when its answer begins", async () => {
    const { counted } = await streaming(messagesOf(texts("a")), "both");
    expect(counted()).toEqual({ calls: 1, failures: 0 });
  });
});

describe("the classic example, stated in a contract", () => {
  // The last 5 calls, half of them failed: open for 10 seconds. 3 attempts, 2 seconds apart.
  const contract = toyService({
    service: {
      gate: { case: "retryBudget", value: { minPerSecond: 10 } },
      breaker: {
        window: { case: "windowCalls", value: 5 },
        failureRatio: 0.5,
        openBase: duration(10_000),
        openMax: duration(10_000),
        openJitter: -1,
      },
      defaults: {
        timeout: duration(30_000),
        redundancy: {
          case: "retry",
          value: {
            maxAttempts: 3,
            initialBackoff: duration(2_000),
            maxBackoff: duration(2_000),
            jitter: Jitter.NONE,
          },
        },
      },
    },
  });

  function running(steps: readonly Step[]) {
    const clock = manualClock();
    const script = scripted(clock, steps);
    const known = { clock, policies: policies() };
    const stack = [totalDeadline(known), retry(known), circuitBreaker(known), attemptTimeout(known)];
    const call = () => ended(clock, through(stack, script.next)(unaryRequest(contract.method.ask)));
    return { clock, call, ...script };
  }

  test("says exactly that", () => {
    expect(policies().service(contract).breaker).toEqual({
      consecutive: Number.POSITIVE_INFINITY,
      failureRatio: 0.5,
      minCalls: 5,
      window: { calls: 5 },
      openBaseMs: 10_000,
      openMaxMs: 10_000,
      openJitter: 0,
      probes: 1,
      slow: undefined,
    });
    expect(policies().method(contract.method.ask).retry).toMatchObject({
      maxAttempts: 3,
      backoff: { initialMs: 2_000, maxMs: 2_000, jitter: "none" },
    });
  });

  test("makes three attempts, two seconds apart", async () => {
    const { call, times } = running([UNAVAILABLE, UNAVAILABLE, { answer: "yes" }]);
    expect(await call()).toMatchObject({ value: { stream: false }, atMs: 4_000 });
    expect(times()).toEqual([0, 2_000, 4_000]);
  });

  test("opens at the fifth attempt that fails, which is the second of the second call", async () => {
    const { call, times } = running([UNAVAILABLE]);
    expect(await call()).toMatchObject({ atMs: 4_000 });
    const second = await call();
    expect(times()).toEqual([0, 2_000, 4_000, 4_000, 6_000]);
    // The third attempt finds the breaker open: what is refused here is not tried again.
    expect(await refusalOf(Promise.reject(second.error))).toEqual(OPEN);
    expect(second.atMs).toBe(8_000);
  });

  test("sends nothing for ten seconds; then one call tries, and with its success all is well", async () => {
    const fails = Array.from({ length: 5 }, () => UNAVAILABLE);
    const { clock, call, seen } = running([...fails, { answer: "yes" }]);
    await call();
    await call();
    // Open since 6,000 ms.
    clock.advance(7_999);
    expect(await refusalOf(call().then(({ error }) => Promise.reject(error)))).toEqual(OPEN);
    expect(seen).toHaveLength(5);
    clock.advance(1);
    for (let n = 0; n < 5; n++) expect(await call()).toMatchObject({ value: { stream: false } });
    expect(seen).toHaveLength(10);
  });

  test("opens for ten seconds again, no longer, when that call fails", async () => {
    const { clock, call, times } = running([UNAVAILABLE]);
    await call();
    await call();
    clock.advance(8_000);
    await call();
    clock.advance(10_000 - 2_000);
    await call();
    expect(times().slice(5)).toEqual([16_000, 26_000]);
  });

  test("stays closed for two failures of the last five, whatever was before", async () => {
    const step = (letter: string): Step =>
      letter === "F" ? { error: statusError(Code.DataLoss) } : { answer: "yes" };
    const { call, seen } = running([..."SSSFFSSSFFSSSFF"].map(step));
    for (let n = 0; n < 15; n++) await call();
    expect(seen).toHaveLength(15);
  });
});
