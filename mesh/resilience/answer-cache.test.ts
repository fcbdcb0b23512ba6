import { Code, createClient, createRouterTransport } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import {
  ended,
  isQuiet,
  pass,
  type StatedPolicy,
  type Step,
  scripted,
  settled,
  statusError,
  streamAnswer,
  streamRequest,
  type ToyCall,
  type ToyResponse,
  textOf,
  through,
  toyMethod,
  unaryAnswer,
  unaryRequest,
} from "../testing/toy-calls.ts";
import { duration } from "../testing/toy-client.ts";
import { toyService } from "../testing/toy-service.ts";
import { type AnswerCacheOptions, answerCache } from "./answer-cache.ts";
import { attemptTimeout } from "./attempt.ts";
import type { Request } from "./call.ts";
import { totalDeadline } from "./deadline.ts";
import { asDegraded } from "./degraded.ts";
import { outcomeOf } from "./outcome.ts";

type Cache = NonNullable<StatedPolicy["cache"]>;

const cached = (stated: Cache = {}, timeoutMs = 1_000) =>
  toyMethod(
    { timeout: duration(timeoutMs), cache: { ttl: duration(100), ...stated } },
    { idempotency: "NO_SIDE_EFFECTS" },
  );

/** Calls of one method through a cache; what reaches the server goes as scripted. */
function caching(steps: readonly Step[], method = cached(), options: AnswerCacheOptions = {}) {
  const clock = manualClock();
  const { next, seen, times } = scripted(clock, steps);
  const told: string[] = [];
  const cache = answerCache({ clock, onAnswer: (_, how) => void told.push(how), ...options });
  const all = through([totalDeadline({ clock }), cache.interceptor, attemptTimeout({ clock })], next);
  const request = (call: ToyCall = {}) => unaryRequest(method, call);
  const begin = (call: ToyCall = {}) => {
    const answer = all(request(call));
    answer.catch(() => {});
    return answer;
  };
  const call = async (of: ToyCall = {}) => {
    const { value, error, atMs } = await ended(clock, begin(of));
    return { text: value && textOf(value), error, atMs };
  };
  const texts = async (...calls: ToyCall[]) => {
    const all: (string | undefined)[] = [];
    for (const each of calls) all.push((await call(each)).text);
    return all;
  };
  return { clock, cache, seen, times, told, request, begin, call, texts };
}

const UNAVAILABLE: Step = { error: statusError(Code.Unavailable) };
const NOT_FOUND: Step = { error: statusError(Code.NotFound) };
const answers = (...texts: string[]): Step[] => texts.map((answer) => ({ answer }));

test("on any of Connect's transports a client is asked once for what it asks for twice", async () => {
  const service = toyService({ ask: { cache: { ttl: duration(60_000) } } });
  let asked = 0;
  const ask = ({ text }: { text: string }) => ({ text: `${text} ${++asked}` });
  const transport = createRouterTransport((router) => router.service(service, { ask }), {
    transport: { interceptors: [answerCache().interceptor] },
  });
  const client = createClient(service, transport);
  const texts = [];
  for (const text of ["a", "a", "b", "a"]) texts.push((await client.ask({ text })).text);
  expect(texts).toEqual(["a 1", "a 1", "b 2", "a 1"]);
});

describe("an answer", () => {
  test("is given again until it is old", async () => {
    const { clock, call, told } = caching(answers("one", "two"));
    expect((await call()).text).toBe("one");
    clock.advance(99);
    expect((await call()).text).toBe("one");
    clock.advance(1);
    expect((await call()).text).toBe("two");
    expect(told).toEqual(["miss", "hit", "miss"]);
  });

  test("is that of this request, and of no other", async () => {
    const { texts } = caching(answers("one", "two", "three"));
    const a = { message: { toyId: "a" } };
    const b = { message: { toyId: "b" } };
    const a1 = { message: { toyId: "a", n: 1 } };
    expect(await texts(a, b, a1, a, b, a1)).toEqual(["one", "two", "three", "one", "two", "three"]);
  });

  test("is that of this method, and of no other", async () => {
    const clock = manualClock();
    const cache = answerCache({ clock });
    const { next, seen } = scripted(clock, answers("one", "two"));
    const call = through([cache.interceptor], next);
    expect(textOf(await call(unaryRequest(cached())))).toBe("one");
    expect(textOf(await call(unaryRequest(cached())))).toBe("two");
    expect(seen).toHaveLength(2);
  });

  test("is never another caller's (F3)", async () => {
    const { texts } = caching(answers("ada's", "grace's", "nobody's"));
    const ada = { header: { Authorization: "Bearer ada" } };
    const grace = { header: { authorization: "Bearer grace" } };
    expect(await texts(ada, grace, {}, ada, grace, {})).toEqual([
      "ada's",
      "grace's",
      "nobody's",
      "ada's",
      "grace's",
      "nobody's",
    ]);
  });

  test("is never another tenant's, where the policy says what tells tenants apart (F3)", async () => {
    const { texts } = caching(answers("a's", "b's"), cached({ varyHeaders: ["X-Tenant"] }));
    const tenant = (name: string) => ({ header: { "x-tenant": name, "x-other": name } });
    expect(await texts(tenant("a"), tenant("b"), tenant("a"), tenant("b"))).toEqual([
      "a's",
      "b's",
      "a's",
      "b's",
    ]);
  });

  test("is another caller's if only headers differ that the policy does not name", async () => {
    const { texts } = caching(answers("one", "two"));
    expect(await texts({ header: { "x-a": "1" } }, { header: { "x-a": "2" } })).toEqual(["one", "one"]);
  });

  test("cannot be taken for another's by how its headers and its request join", async () => {
    const { texts } = caching(answers("one", "two"), cached({ varyHeaders: ["x-a", "x-b"] }));
    const first = { header: { "x-a": "1,2", "x-b": "3" } };
    const second = { header: { "x-a": "1", "x-b": "2,3" } };
    expect(await texts(first, second)).toEqual(["one", "two"]);
  });

  test("is a copy: who changes it changes nobody else's", async () => {
    const { begin, request, cache } = caching(answers("one"), cached({ staleIfError: duration(1_000) }));
    for (let n = 0; n < 2; n++) {
      const response = await begin();
      expect(textOf(response)).toBe("one");
      expect(response.trailer.has("x-mine")).toBe(false);
      (response.message as ToyResponse).text = "mine";
      response.header.set("x-mine", "1");
      response.trailer.set("x-mine", "1");
    }
    for (let n = 0; n < 2; n++) {
      const stale = cache.staleIfError(request()) ?? expect.fail("nothing was kept");
      expect(textOf(stale)).toBe("one");
      (stale.message as ToyResponse).text = "mine";
    }
  });

  test("that is degraded is not kept", async () => {
    const clock = manualClock();
    let asked = 0;
    const next = async (request: Request) => asDegraded(unaryAnswer(request, `${++asked}`), "fallback");
    const method = cached();
    const call = through([answerCache({ clock }).interceptor], next);
    expect(textOf(await call(unaryRequest(method)))).toBe("1");
    expect(textOf(await call(unaryRequest(method)))).toBe("2");
  });

  test("that is an error is not kept", async () => {
    const { call, seen } = caching([UNAVAILABLE, ...answers("two")]);
    expect((await call()).error).toMatchObject({ code: Code.Unavailable });
    expect((await call()).text).toBe("two");
    expect(seen).toHaveLength(2);
  });
});

describe("NOT_FOUND", () => {
  test("is kept for as long as the policy says", async () => {
    const { clock, call, told } = caching(
      [NOT_FOUND, ...answers("there")],
      cached({ negativeTtl: duration(50) }),
    );
    const first = await call();
    clock.advance(49);
    const second = await call();
    expect(first.error).toMatchObject({ code: Code.NotFound });
    expect(second.error).toBe(first.error);
    clock.advance(1);
    expect((await call()).text).toBe("there");
    expect(told).toEqual(["hit", "miss"]);
  });

  test("is not kept if the policy does not say so", async () => {
    const { call } = caching([NOT_FOUND, ...answers("there")]);
    await call();
    expect((await call()).text).toBe("there");
  });

  test("takes the place of an answer that is old: what was deleted does not stand in for itself", async () => {
    for (const negativeTtl of [duration(50), duration(0)]) {
      const method = cached({ negativeTtl, staleIfError: duration(10_000) });
      const { clock, call, cache, request } = caching([...answers("one"), NOT_FOUND], method);
      await call();
      clock.advance(100);
      expect(cache.staleIfError(request())).toBeDefined();
      await call();
      expect(cache.staleIfError(request())).toBeUndefined();
    }
  });
});

describe("an answer that is a little old", () => {
  const method = cached({ staleWhileRevalidate: duration(50), staleIfError: duration(1_000) });

  test("is given while a new one is had", async () => {
    const { clock, call, told, times } = caching([...answers("one"), { answer: "two", afterMs: 30 }], method);
    await call();
    clock.advance(120);
    expect(await call()).toMatchObject({ text: "one", atMs: 120 });
    expect(await call()).toMatchObject({ text: "one", atMs: 120 });
    await pass(clock, 30);
    expect(await call()).toMatchObject({ text: "two", atMs: 150 });
    expect(told).toEqual(["miss", "stale", "stale", "hit"]);
    // One call for both.
    expect(times()).toEqual([0, 120]);
  });

  test("serves on if a new one cannot be had", async () => {
    const { clock, call, seen } = caching([...answers("one"), UNAVAILABLE, ...answers("three")], method);
    await call();
    clock.advance(120);
    expect((await call()).text).toBe("one");
    await settled();
    expect((await call()).text).toBe("one");
    await settled();
    expect((await call()).text).toBe("three");
    expect(seen).toHaveLength(3);
  });

  test("is renewed though who asked for it has left", async () => {
    const { clock, begin, call, seen } = caching([...answers("one"), { answer: "two", afterMs: 30 }], method);
    await call();
    clock.advance(120);
    const leaving = new AbortController();
    await begin({ signal: leaving.signal });
    leaving.abort();
    await pass(clock, 30);
    expect((await call()).text).toBe("two");
    expect(seen).toHaveLength(2);
  });

  test("is not given when it is older", async () => {
    const { clock, call } = caching(answers("one", "two"), method);
    await call();
    clock.advance(150);
    expect((await call()).text).toBe("two");
  });

  test("may stand in for an error, until it is too old", async () => {
    const { clock, call, cache, request } = caching(answers("one"), method);
    expect(cache.staleIfError(request())).toBeUndefined();
    await call();
    clock.advance(1_099);
    const stale = cache.staleIfError(request());
    expect(stale && textOf(stale)).toBe("one");
    expect(cache.staleIfError(request({ header: { authorization: "another" } }))).toBeUndefined();
    clock.advance(1);
    expect(cache.staleIfError(request())).toBeUndefined();
  });
});

describe("calls that miss together", () => {
  test("are one call to the server (F2)", async () => {
    const { clock, begin, seen, told } = caching([{ answer: "one", afterMs: 20 }]);
    const all = Array.from({ length: 1_000 }, () => begin());
    await pass(clock, 20);
    expect(new Set((await Promise.all(all)).map(textOf))).toEqual(new Set(["one"]));
    expect(seen).toHaveLength(1);
    expect(told.filter((how) => how === "miss")).toHaveLength(1);
    expect(told.filter((how) => how === "joined")).toHaveLength(999);
    expect(await isQuiet(clock)).toBe(true);
  });

  test("have each its own deadline: one of 10 ms is over at 10 ms, the others are answered (F2)", async () => {
    const { clock, begin, seen } = caching([{ answer: "one", afterMs: 20 }]);
    const before = begin();
    const hurried = begin({ header: { "grpc-timeout": "10m" } });
    const after = begin();
    const { error, atMs } = await ended(clock, hurried);
    expect(atMs).toBe(10);
    expect(outcomeOf(error)).toMatchObject({ kind: "TOTAL_TIMEOUT", reason: "DEADLINE_EXCEEDED" });
    await pass(clock, 10);
    expect([textOf(await before), textOf(await after)]).toEqual(["one", "one"]);
    expect(seen).toHaveLength(1);
  });

  test("go on with the policy's time when the one that began is over or has left", async () => {
    const { clock, begin, seen } = caching([{ answer: "one", afterMs: 500 }]);
    const leaving = new AbortController();
    const first = begin({ header: { "grpc-timeout": "10m" }, signal: leaving.signal });
    const second = begin({ signal: leaving.signal });
    const third = begin();
    await pass(clock, 5);
    leaving.abort();
    await expect(first).rejects.toMatchObject({ code: Code.Canceled });
    await expect(second).rejects.toMatchObject({ code: Code.Canceled });
    await pass(clock, 495);
    expect(textOf(await third)).toBe("one");
    expect(seen).toHaveLength(1);
  });

  test("are given up when all have left, and leave no timer", async () => {
    const { clock, begin, seen } = caching([{ never: true }]);
    const leaving = new AbortController();
    const both = [begin({ signal: leaving.signal }), begin({ signal: leaving.signal })];
    await settled();
    leaving.abort();
    for (const each of both) await expect(each).rejects.toMatchObject({ code: Code.Canceled });
    expect(seen[0]?.request.signal.aborted).toBe(true);
    expect(await isQuiet(clock)).toBe(true);
  });

  test("one of which has left before it began is not sent", async () => {
    const { begin, seen, clock } = caching(answers("one"));
    await expect(begin({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: Code.Canceled });
    expect(seen).toEqual([]);
    expect(await isQuiet(clock)).toBe(true);
  });
});

describe("a shared call that fails", () => {
  /** The one that began, and one that joined it. */
  async function both(...steps: Step[]) {
    const { clock, begin, seen } = caching(steps);
    const own = begin();
    await settled();
    const joined = begin();
    return { clock, seen, own: await ended(clock, own), joined: await ended(clock, joined) };
  }

  test("is its beginner's failure; who joined later asks again, once, if that may help", async () => {
    const failing = { ...UNAVAILABLE, afterMs: 20 };
    const { own, joined, seen } = await both(failing, { answer: "two" });
    expect(own.error).toMatchObject({ code: Code.Unavailable });
    expect(joined.value && textOf(joined.value)).toBe("two");
    expect(seen).toHaveLength(2);
  });

  test("again is the failure of who joined", async () => {
    const last = statusError(Code.Unavailable);
    const { joined, seen } = await both({ ...UNAVAILABLE, afterMs: 20 }, { error: last });
    expect(joined.error).toBe(last);
    expect(seen).toHaveLength(2);
  });

  test("twice is told to who joined twice: nobody asks for ever", async () => {
    const failing = { ...UNAVAILABLE, afterMs: 20 };
    const { clock, begin, seen } = caching([failing, failing, { answer: "three" }]);
    const all = [begin(), begin(), begin()];
    for (const each of all)
      expect((await ended(clock, each)).error).toMatchObject({ code: Code.Unavailable });
    expect(seen).toHaveLength(2);
  });

  test("in a way that asking again does not mend is everybody's failure", async () => {
    const error = statusError(Code.PermissionDenied);
    const { own, joined, seen } = await both({ error, afterMs: 20 });
    expect([own.error, joined.error]).toEqual([error, error]);
    expect(joined.error).toBe(error);
    expect(seen).toHaveLength(1);
  });
});

describe("what is kept", () => {
  test("is bounded in bytes: the longest unused goes first", async () => {
    const { call, cache, seen } = caching(answers("x".repeat(500)), cached({ ttl: duration(100_000) }), {
      maxBytes: 10_000,
    });
    const of = (n: number) => call({ message: { n } });
    for (let n = 1; n <= 100; n++) {
      await of(n);
      await of(1);
    }
    // An entry is its 500 bytes, about 500 beside them, and its key.
    expect(cache.size).toBeGreaterThanOrEqual(5);
    expect(cache.size).toBeLessThanOrEqual(10);
    expect(seen).toHaveLength(100);
    await of(1);
    expect(seen).toHaveLength(100);
    await of(2);
    expect(seen).toHaveLength(101);
  });

  test("is no answer to a question of more than 16 KiB", async () => {
    const { call, cache, seen } = caching(answers("one"));
    const large = { message: { toyId: "x".repeat(17 * 1024) } };
    await call(large);
    await call(large);
    expect([cache.size, seen.length]).toEqual([0, 2]);
  });

  test("is nothing of a method whose policy has no cache, and nothing of a stream", async () => {
    const plain = caching(answers("one", "two"), toyMethod());
    expect(await plain.texts({}, {})).toEqual(["one", "two"]);
    expect(plain.cache.staleIfError(plain.request())).toBeUndefined();

    const clock = manualClock();
    const cache = answerCache({ clock });
    const watched = toyMethod(
      { cache: { ttl: duration(100) } },
      { streams: "server", idempotency: "NO_SIDE_EFFECTS" },
    );
    let asked = 0;
    const next = async (request: Request) => {
      asked++;
      return streamAnswer(request, (async function* () {})());
    };
    for (let n = 0; n < 2; n++) await through([cache.interceptor], next)(streamRequest(watched));
    expect([asked, cache.size]).toEqual([2, 0]);
    expect(cache.staleIfError(streamRequest(watched))).toBeUndefined();
  });
});
