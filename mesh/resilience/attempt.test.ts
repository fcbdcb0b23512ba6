import { Code, type Interceptor } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { type ManualClock, manualClock } from "../testing/clock.ts";
import { refusalOf } from "../testing/refusal.ts";
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
  unaryRequest,
} from "../testing/toy-calls.ts";
import { duration } from "../testing/toy-client.ts";
import { type AttemptOptions, attemptTimeout } from "./attempt.ts";
import { type Attempt, asAttempt, asPartOf, callOf, newCall, type Request, timeoutKey } from "./call.ts";
import { latencies } from "./latency.ts";
import { outcomeOf } from "./outcome.ts";

const retried = (attemptTimeoutMs?: number) =>
  toyMethod({
    timeout: duration(1_000),
    redundancy: {
      case: "retry",
      value: attemptTimeoutMs === undefined ? {} : { attemptTimeout: duration(attemptTimeoutMs) },
    },
  });
const FIRST: Attempt = { number: 1, isLast: false };
const LAST: Attempt = { number: 3, isLast: true };

/** One attempt of a call that ends at 1,000 ms. */
function attempting(
  step: Step,
  attempt: Attempt,
  {
    request = unaryRequest(retried(100), { header: { "grpc-timeout": "1000m" } }) as Request,
    clock = manualClock(),
    deadlineMs = 1_000,
    ...options
  }: AttemptOptions & { request?: Request; clock?: ManualClock; deadlineMs?: number } = {},
) {
  const { next, seen } = scripted(clock, [step]);
  const call = newCall(request, callOf(request, { clock }).policy, deadlineMs);
  const answer = through(
    [attemptTimeout({ clock, ...options })],
    next,
  )(asAttempt(asPartOf(request, call), attempt));
  answer.catch(() => {});
  return { clock, seen, answer };
}
const endOf = async ({ clock, answer }: ReturnType<typeof attempting>) => {
  const { error, atMs } = await ended(clock, answer);
  const { kind, code, reason, wasGuessed } = outcomeOf(error);
  return { kind, code, reason, ...(wasGuessed && { wasGuessed }), atMs };
};

describe("how long an attempt may take", () => {
  test("is its own timeout, and it ends then whatever the transport does", async () => {
    const deaf: Interceptor = () => () => new Promise(() => {});
    const clock = manualClock();
    const request = asAttempt(unaryRequest(retried(100)), FIRST);
    const answer = through([attemptTimeout({ clock }), deaf], async () => expect.fail())(request);
    const { error, atMs } = await ended(clock, answer);
    expect(atMs).toBe(100);
    expect(outcomeOf(error)).toMatchObject({
      kind: "ATTEMPT_TIMEOUT",
      code: Code.DeadlineExceeded,
      reason: "ATTEMPT_TIMEOUT",
    });
    expect(await isQuiet(clock)).toBe(true);
  });

  test("is all that is left for the last attempt", async () => {
    const attempt = attempting({ never: true }, LAST);
    expect(await endOf(attempt)).toEqual({
      kind: "TOTAL_TIMEOUT",
      code: Code.DeadlineExceeded,
      reason: "DEADLINE_EXCEEDED",
      atMs: 1_000,
    });
  });

  test("is what is left of the call's time, if that is less", async () => {
    const attempt = attempting({ never: true }, FIRST, { deadlineMs: 60 });
    expect(await endOf(attempt)).toMatchObject({ kind: "TOTAL_TIMEOUT", atMs: 60 });
  });

  test.each([
    ["carries no key", {}, 1_000],
    ["carries its key", { requestId: "r1" }, 100],
  ])("is cut for what may not be repeated only if it %s", async (_, message, atMs) => {
    const policy = { timeout: duration(1_000), idempotencyKeyField: "request_id" };
    const retry = { case: "retry" as const, value: { attemptTimeout: duration(100) } };
    const method = toyMethod({ ...policy, redundancy: retry }, {});
    const request = unaryRequest(method, { message });
    expect(await endOf(attempting({ never: true }, FIRST, { request }))).toMatchObject({ atMs });
  });

  describe("without a stated one is learned:", () => {
    const after = (tookMs: number, calls: number) => {
      const clock = manualClock();
      const observed = latencies(clock);
      for (let n = 0; n < calls; n++) observed.record(tookMs);
      const request = unaryRequest(retried());
      return attempting({ never: true }, FIRST, { request, clock, latenciesOf: () => observed });
    };

    test("none before a hundred calls", async () => {
      expect(await endOf(after(40, 99))).toMatchObject({ kind: "TOTAL_TIMEOUT", atMs: 1_000 });
    });

    test("three times the p99", async () => {
      const { kind, atMs } = await endOf(after(120, 100));
      expect(kind).toBe("ATTEMPT_TIMEOUT");
      // Known to within 5 percent.
      expect(atMs).toBeGreaterThanOrEqual(342);
      expect(atMs).toBeLessThanOrEqual(381);
    });

    test("at least 250 ms", async () => {
      const end = { kind: "ATTEMPT_TIMEOUT", reason: "ATTEMPT_TIMEOUT", wasGuessed: true, atMs: 250 };
      expect(await endOf(after(1, 100))).toMatchObject(end);
    });

    test("at most half of what the policy gives the call", async () => {
      expect(await endOf(after(400, 100))).toMatchObject({ kind: "ATTEMPT_TIMEOUT", atMs: 500 });
    });
  });

  test("is never less than 2 ms: such an attempt is not made (D1)", async () => {
    const { seen, answer } = attempting({ answer: "yes" }, FIRST, { deadlineMs: 1.9 });
    expect(await refusalOf(answer)).toMatchObject({ code: "DeadlineExceeded", reason: "DEADLINE_EXCEEDED" });
    expect(seen).toEqual([]);
  });
});

describe("what the server is told", () => {
  const told = async (attempt: Attempt, deadlineMs = 1_000) => {
    const { seen, answer } = attempting({ answer: "yes" }, attempt, { deadlineMs });
    await answer;
    const timeoutMs = seen[0]?.request.contextValues.get(timeoutKey);
    return { ...seen[0]?.header, timeoutMs };
  };

  test("is how long this attempt is waited for (B6)", async () => {
    expect(await told(FIRST)).toEqual({ "grpc-timeout": "100m", timeoutMs: 100 });
    expect(await told(FIRST, 80.5)).toEqual({ "grpc-timeout": "80m", timeoutMs: 80.5 });
  });

  test("is how many attempts came before, from the second on (A6)", async () => {
    expect(await told({ number: 2, isLast: false })).toMatchObject({ "grpc-previous-rpc-attempts": "1" });
    expect(await told(LAST)).toEqual({
      "grpc-timeout": "1S",
      "grpc-previous-rpc-attempts": "2",
      timeoutMs: 1_000,
    });
  });
});

describe("the end of an attempt", () => {
  test("is its answer, and no timer is left", async () => {
    const { clock, seen, answer } = attempting({ answer: "yes", afterMs: 20 }, FIRST);
    await pass(clock, 20);
    expect(textOf(await answer)).toBe("yes");
    expect(await isQuiet(clock)).toBe(true);
    expect(seen[0]?.request.signal.aborted).toBe(false);
  });

  test("is its error, and no timer is left", async () => {
    const error = statusError(Code.Unavailable);
    const { clock, answer } = attempting({ error }, FIRST);
    await expect(answer).rejects.toBe(error);
    expect(await isQuiet(clock)).toBe(true);
  });

  test("is its timeout, which aborts the transport", async () => {
    const { clock, seen, answer } = attempting({ never: true }, FIRST);
    await pass(clock, 100);
    const error = await answer.catch((thrown: unknown) => thrown);
    expect(seen[0]?.request.signal.reason).toBe(error);
  });

  test("is at once when its caller leaves; the transport is aborted and no timer is left (R9)", async () => {
    const leaving = new AbortController();
    const request = unaryRequest(retried(100), { signal: leaving.signal });
    const { clock, seen, answer } = attempting({ never: true }, FIRST, { request });
    await settled();
    leaving.abort();
    const error = await answer.catch((thrown: unknown) => thrown);
    expect(outcomeOf(error)).toMatchObject({ kind: "CALLER_CANCEL", code: Code.Canceled });
    expect(seen[0]?.request.signal.aborted).toBe(true);
    expect({ quiet: await isQuiet(clock), nowMs: clock.now() }).toEqual({ quiet: true, nowMs: 0 });
  });

  test("is at once if its caller had left before, and nothing is sent", async () => {
    const request = unaryRequest(retried(100), { signal: AbortSignal.abort() });
    const { clock, seen, answer } = attempting({ answer: "yes" }, FIRST, { request });
    await expect(answer).rejects.toMatchObject({ code: Code.Canceled });
    expect(seen).toEqual([]);
    expect(await isQuiet(clock)).toBe(true);
  });

  test("may be told by the transport or the server first; it is the same timeout", async () => {
    const error = statusError(Code.DeadlineExceeded);
    const at100 = attempting({ error, afterMs: 99 }, FIRST);
    expect(await endOf(at100)).toMatchObject({ kind: "ATTEMPT_TIMEOUT", atMs: 99 });
    const at1000 = attempting({ error, afterMs: 999 }, LAST);
    expect(await endOf(at1000)).toMatchObject({ kind: "TOTAL_TIMEOUT", atMs: 999 });
  });

  test("long before its time is the server's own DEADLINE_EXCEEDED", async () => {
    const error = statusError(Code.DeadlineExceeded);
    const { answer } = attempting({ error }, FIRST);
    await expect(answer).rejects.toBe(error);
    expect(outcomeOf(error)).toMatchObject({ kind: "STATUS" });
  });
});

test("answers and timeouts are measured, errors and the call's own end are not", async () => {
  const clock = manualClock();
  const took: number[] = [];
  const latenciesOf = () => ({
    record: (tookMs: number) => void took.push(tookMs),
    percentile: () => undefined,
  });
  const each = (step: Step, attempt: Attempt) =>
    ended(clock, attempting(step, attempt, { clock, latenciesOf, deadlineMs: clock.now() + 1_000 }).answer);
  await each({ answer: "yes", afterMs: 20 }, FIRST);
  await each({ error: statusError(Code.Unavailable), afterMs: 30 }, FIRST);
  await each({ never: true }, FIRST);
  await each({ never: true }, LAST);
  expect(took).toEqual([20, 100]);
});

describe("a stream", () => {
  const method = toyMethod(
    { timeout: duration(1_000), idleTimeout: duration(200) },
    { streams: "server", idempotency: "IDEMPOTENT" },
  );
  const texts = (...all: string[]) => all.map((text) => ({ text }) as ToyResponse);
  const silent: AsyncIterable<ToyResponse> = {
    [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }),
  };
  async function reading(messages: AsyncIterable<ToyResponse>, signal = new AbortController().signal) {
    const request = streamRequest(method, { signal });
    const { clock, seen, answer } = attempting({ stream: () => messages }, FIRST, { request });
    const response = await answer;
    if (!response.stream) return expect.fail("it is no stream");
    return { clock, seen, iterator: response.message[Symbol.asyncIterator]() };
  }

  test("that is read to its end leaves no timer", async () => {
    const { clock, iterator } = await reading(messagesOf(texts("a")));
    expect(await iterator.next()).toMatchObject({ value: { text: "a" } });
    expect(await isQuiet(clock)).toBe(false);
    expect(await iterator.next()).toMatchObject({ done: true });
    expect(await isQuiet(clock)).toBe(true);
  });

  test("has its deadline until its last message, though its reader waits for none", async () => {
    const { clock, seen, iterator } = await reading(messagesOf(texts("a", "b")));
    await iterator.next();
    await pass(clock, 1_000);
    const error = await iterator.next().catch((thrown: unknown) => thrown);
    expect(outcomeOf(error)).toMatchObject({ kind: "TOTAL_TIMEOUT", reason: "DEADLINE_EXCEEDED" });
    expect(seen[0]?.request.signal.aborted).toBe(true);
    expect(await isQuiet(clock)).toBe(true);
  });

  test("that is silent for too long ends for a reader who waits", async () => {
    const { clock, iterator } = await reading(silent);
    const { error, atMs } = await ended(clock, iterator.next());
    expect(atMs).toBe(200);
    expect(outcomeOf(error)).toMatchObject({ kind: "ATTEMPT_TIMEOUT", reason: "IDLE_TIMEOUT" });
  });

  test("whose caller leaves ends at once", async () => {
    const leaving = new AbortController();
    const { clock, iterator } = await reading(silent, leaving.signal);
    const next = iterator.next();
    leaving.abort();
    await expect(next).rejects.toMatchObject({ code: Code.Canceled });
    expect(await isQuiet(clock)).toBe(true);
  });

  test("of requests counts as alive while they are sent", async () => {
    const both = toyMethod({ idleTimeout: duration(200) }, { streams: "both" });
    const clock = manualClock();
    async function* slowly() {
      for (let n = 0; n < 5; n++) {
        await clock.sleep(150);
        yield { n } as never;
      }
    }
    const request = streamRequest(both, { messages: slowly() });
    const step: Step = {
      async *stream({ message }) {
        for await (const _ of message);
        yield* texts("all sent");
      },
    };
    const { answer } = attempting(step, FIRST, { request, clock, deadlineMs: Number.POSITIVE_INFINITY });
    const response = await answer;
    if (!response.stream) return expect.fail("it is no stream");
    const { value, atMs } = await ended(clock, response.message[Symbol.asyncIterator]().next());
    expect({ text: value?.value, atMs }).toMatchObject({ text: { text: "all sent" }, atMs: 750 });
  });
});
