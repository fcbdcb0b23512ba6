import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { type Ended, watchCall } from "./watch-call.ts";

type Next = Parameters<typeof watchCall>[0];

/** Makes a call, and notes how it is said to have ended. */
async function watched(response: () => Promise<unknown>, signal = new AbortController().signal) {
  const ends: unknown[][] = [];
  const ended: Ended = (...end) => void ends.push(end);
  const answer = watchCall(response as Next, { signal } as never, ended);
  const messages = async () =>
    ((await answer) as { message: AsyncIterable<number> }).message[Symbol.asyncIterator]();
  return { ends, answer, messages };
}

const streamOf = (message: AsyncIterable<number>) => async () => ({ stream: true, message });
const broken = new ConnectError("broken", Code.Internal);

test("a unary call ends with its answer", async () => {
  const { ends, answer } = await watched(async () => ({ stream: false }));
  await answer;
  expect(ends).toEqual([[0]]);
});

test.each([
  ["a ConnectError", broken, Code.Internal],
  ["another error", new TypeError("no"), Code.Unknown],
  ["undefined", undefined, Code.Unknown],
])("a call that fails with %s ends with that, and fails with it", async (_, error, code) => {
  const { ends, answer } = await watched(() => Promise.reject(error));
  await expect(answer).rejects.toBe(error);
  expect(ends).toEqual([[code, error]]);
});

test("a stream ends with its last message, once", async () => {
  async function* numbers() {
    yield 1;
    yield 2;
  }
  const { ends, messages } = await watched(streamOf(numbers()));
  const iterator = await messages();
  await iterator.next();
  await iterator.next();
  expect(ends).toEqual([]);
  expect(await iterator.next()).toEqual({ done: true, value: undefined });
  await iterator.next();
  await iterator.return?.();
  expect(ends).toEqual([[0, undefined]]);
});

test("a stream ends with its error, and passes it on", async () => {
  async function* failing() {
    yield 1;
    throw broken;
  }
  const { ends, messages } = await watched(streamOf(failing()));
  const iterator = await messages();
  await iterator.next();
  await expect(iterator.next()).rejects.toBe(broken);
  await iterator.return?.();
  expect(ends).toEqual([[Code.Internal, broken]]);
});

test("a stream that is left is cancelled, and its source is told", async () => {
  const closed: string[] = [];
  async function* endless() {
    try {
      for (;;) yield 1;
    } finally {
      closed.push("closed");
    }
  }
  const { ends, messages } = await watched(streamOf(endless()));
  const iterator = await messages();
  await iterator.next();
  await iterator.return?.();
  expect(ends).toEqual([[Code.Canceled, undefined]]);
  expect(closed).toEqual(["closed"]);
});

describe("a stream whose signal aborts", () => {
  async function* numbers() {
    yield 1;
    yield 2;
  }
  const timedOut = new ConnectError("too late", Code.DeadlineExceeded);

  test.each([
    ["is cancelled", new DOMException("left", "AbortError"), [Code.Canceled, undefined]],
    ["ends as its reason says, if that has a code", timedOut, [Code.DeadlineExceeded, timedOut]],
  ])("%s, though nobody asks for more of it", async (_, reason, end) => {
    const leaving = new AbortController();
    const { ends, messages } = await watched(streamOf(numbers()), leaving.signal);
    const iterator = await messages();
    await iterator.next();
    leaving.abort(reason);
    expect(ends).toEqual([end]);
    while (!(await iterator.next()).done);
    expect(ends).toEqual([end]);
  });

  test("after its end has ended before", async () => {
    const leaving = new AbortController();
    const { ends, messages } = await watched(streamOf(numbers()), leaving.signal);
    const iterator = await messages();
    while (!(await iterator.next()).done);
    leaving.abort();
    expect(ends).toEqual([[0, undefined]]);
  });

  test("before it began has ended when it begins", async () => {
    const { ends, answer } = await watched(streamOf(numbers()), AbortSignal.abort());
    await answer;
    expect(ends).toEqual([[Code.Canceled, undefined]]);
  });
});

test("so is one that is left before it is read", async () => {
  async function* numbers() {
    yield 1;
  }
  const { ends, messages } = await watched(streamOf(numbers()));
  await (await messages()).return?.();
  expect(ends).toEqual([[Code.Canceled, undefined]]);
});

test("a source that cannot be told is left all the same", async () => {
  const source: AsyncIterable<number> = {
    [Symbol.asyncIterator]: () => ({ next: async () => ({ done: false, value: 1 }) }),
  };
  const { ends, messages } = await watched(streamOf(source));
  const iterator = await messages();
  expect(await iterator.return?.("bye")).toEqual({ done: true, value: "bye" });
  expect(ends).toEqual([[Code.Canceled, undefined]]);
});

test("an error thrown into a stream ends it with that error", async () => {
  async function* numbers() {
    yield 1;
    yield 2;
  }
  const { ends, messages } = await watched(streamOf(numbers()));
  const iterator = await messages();
  await iterator.next();
  await expect(iterator.throw?.(broken)).rejects.toBe(broken);
  expect(ends).toEqual([[Code.Internal, broken]]);
});
