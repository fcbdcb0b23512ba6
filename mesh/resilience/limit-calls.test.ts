import { getEventListeners } from "node:events";
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { refusalOf } from "../testing/refusal.ts";
import {
  ended,
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
import { bulkhead } from "./bulkhead.ts";
import { totalDeadline } from "./deadline.ts";
import { type LimitCallsOptions, limitCalls } from "./limit-calls.ts";
import { retry } from "./retry.ts";

const FULL = { code: "Unavailable", reason: "BULKHEAD_FULL", domain: "mesh.weft" };

/** Calls through one bulkhead. */
function limited(
  steps: readonly Step[],
  size = { maxConcurrent: 1, maxQueue: 0 },
  options: LimitCallsOptions = {},
) {
  const clock = manualClock();
  const places = bulkhead(size, clock);
  const { next, seen } = scripted(clock, steps);
  const rejected: string[] = [];
  const send = through(
    [
      limitCalls({
        clock,
        bulkheadOf: () => places,
        onRejected: ({ method }) => void rejected.push(method.name),
        ...options,
      }),
    ],
    next,
  );
  return { clock, places, seen, rejected, send };
}

test("a call holds its place until it is answered", async () => {
  const { clock, places, seen, rejected, send } = limited([{ answer: "yes", afterMs: 20 }]);
  const call = send(unaryRequest(toyMethod()));
  await settled();
  expect(await refusalOf(send(unaryRequest(toyMethod())))).toEqual(FULL);
  expect(rejected).toEqual(["Get"]);
  await pass(clock, 20);
  expect(textOf(await call)).toBe("yes");
  expect(places.inflight).toBe(0);
  expect(seen).toHaveLength(1);
});

test("a call gives its place back when it fails, at once or later", async () => {
  const { clock, places, send } = limited([
    { error: statusError(Code.NotFound) },
    { error: statusError(Code.Unavailable), afterMs: 5 },
  ]);
  await expect(send(unaryRequest(toyMethod()))).rejects.toMatchObject({ code: Code.NotFound });
  expect(places.inflight).toBe(0);
  expect((await ended(clock, send(unaryRequest(toyMethod())))).error).toMatchObject({
    code: Code.Unavailable,
  });
  expect(places.inflight).toBe(0);
});

test("a call holds one place for all its attempts and the waits between them", async () => {
  const clock = manualClock();
  const places = bulkhead({ maxConcurrent: 1, maxQueue: 0 }, clock);
  const wait = { initialBackoff: duration(50), maxBackoff: duration(50) };
  const method = toyMethod({ redundancy: { case: "retry", value: wait } });
  const { next, times } = scripted(clock, [{ error: statusError(Code.Unavailable) }, { answer: "yes" }]);
  const held: number[] = [];
  const send = through(
    [
      totalDeadline({ clock }),
      limitCalls({ clock, bulkheadOf: () => places }),
      retry({ clock, random: () => 0.999, onRetry: () => void held.push(places.inflight) }),
    ],
    (request) => {
      held.push(places.inflight);
      return next(request);
    },
  );
  const call = ended(clock, send(unaryRequest(method)));
  expect(await refusalOf(send(unaryRequest(method)))).toEqual(FULL);
  await call;
  expect(times()).toHaveLength(2);
  expect(held).toEqual([1, 1, 1]);
  expect(places.inflight).toBe(0);
});

test("a call waits for a quarter of what it has left", async () => {
  const { clock, seen, rejected, send } = limited([{ never: true }], { maxConcurrent: 1, maxQueue: 1 });
  clock.advance(5_000);
  send(unaryRequest(toyMethod())).catch(() => {});
  const header = { "grpc-timeout": "80m" };
  const waiting = await ended(clock, send(unaryRequest(toyMethod(), { header })));
  expect(waiting.atMs).toBe(5_020);
  expect(await refusalOf(Promise.reject(waiting.error))).toEqual(FULL);
  expect(seen).toHaveLength(1);
  expect(rejected).toEqual(["Get"]);
});

test("a caller who leaves the queue is not one that was refused", async () => {
  const { seen, rejected, send } = limited([{ never: true }], { maxConcurrent: 1, maxQueue: 1 });
  send(unaryRequest(toyMethod())).catch(() => {});
  const leaving = new AbortController();
  const call = send(unaryRequest(toyMethod(), { signal: leaving.signal }));
  leaving.abort();
  await expect(call).rejects.toMatchObject({ code: Code.Canceled });
  expect(rejected).toEqual([]);
  expect(seen).toHaveLength(1);
});

describe("a stream", () => {
  const method = toyMethod({}, { streams: "server" });
  const texts = (...all: string[]) => all.map((text) => ({ text }) as ToyResponse);

  async function streaming(messages: AsyncIterable<ToyResponse>, signal = new AbortController().signal) {
    const toy = limited([{ stream: () => messages }]);
    const response = await toy.send(streamRequest(method, { signal }));
    if (!response.stream) return expect.fail("it is no stream");
    expect(toy.places.inflight).toBe(1);
    return { ...toy, signal, iterator: response.message[Symbol.asyncIterator]() };
  }

  test("holds its place until it has ended", async () => {
    const { places, signal, iterator } = await streaming(messagesOf(texts("a")));
    await iterator.next();
    expect(places.inflight).toBe(1);
    expect(await iterator.next()).toMatchObject({ done: true });
    expect(places.inflight).toBe(0);
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  test("holds its place until it breaks", async () => {
    const error = statusError(Code.Unavailable);
    const { places, iterator } = await streaming(messagesOf<ToyResponse>([], error));
    await expect(iterator.next()).rejects.toBe(error);
    expect(places.inflight).toBe(0);
  });

  test("holds its place until its reader has had enough", async () => {
    const { places, iterator } = await streaming(messagesOf(texts("a", "b")));
    await iterator.next();
    await iterator.return?.();
    expect(places.inflight).toBe(0);
  });

  test("whose caller leaves gives its place back though nobody reads it", async () => {
    const leaving = new AbortController();
    const { places } = await streaming(messagesOf(texts("a")), leaving.signal);
    leaving.abort();
    expect(places.inflight).toBe(0);
  });

  test("whose caller left while it began gives its place back", async () => {
    const leaving = new AbortController();
    const { places, send } = limited([
      {
        stream() {
          leaving.abort();
          return messagesOf(texts("a"));
        },
      },
    ]);
    await send(streamRequest(method, { signal: leaving.signal }));
    expect(places.inflight).toBe(0);
  });
});

test("without being told there is one bulkhead for each service, and one of its size for its streams", async () => {
  const clock = manualClock();
  const service = { bulkhead: { maxConcurrent: 2 } };
  const [method, other] = [toyMethod({}, { service }), toyMethod({}, { service })];
  const { next, seen } = scripted(clock, [{ never: true }]);
  const send = through([limitCalls({ clock })], next);
  for (const each of [method, method, other, other]) send(unaryRequest(each)).catch(() => {});
  await settled();
  expect(seen).toHaveLength(4);
  expect(await refusalOf(send(unaryRequest(method)))).toEqual(FULL);
  for (let n = 0; n < 2; n++) send(streamRequest(method)).catch(() => {});
  await settled();
  expect(seen).toHaveLength(6);
  expect(await refusalOf(send(streamRequest(method)))).toEqual(FULL);
});
