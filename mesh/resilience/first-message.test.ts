import type { StreamRequest } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import {
  messagesOf,
  streamAnswer,
  streamRequest,
  type ToyRequest,
  type ToyResponse,
  toyMethod,
} from "../testing/toy-calls.ts";
import { peekFirst, repeatable } from "./first-message.ts";

const SERVER = toyMethod({}, { streams: "server" });
const CLIENT = toyMethod({}, { streams: "client" });
const numbers = (...all: number[]) => messagesOf(all.map((n) => ({ n }) as ToyRequest));
const read = async (request: StreamRequest) =>
  (await Array.fromAsync(request.message)).map((message) => (message as ToyRequest).n);

describe("a stream of requests", () => {
  test("of a server stream is sent again, whole, as often as is needed", async () => {
    const { request, mayRepeat } = await repeatable(streamRequest(SERVER, { messages: numbers(7) }));
    expect([await read(request), await read(request), mayRepeat()]).toEqual([[7], [7], true]);
  });

  test("of another stream may be sent again while nothing of it was read", async () => {
    const { request, mayRepeat } = await repeatable(streamRequest(CLIENT, { messages: numbers(1, 2) }));
    expect(mayRepeat()).toBe(true);
    // A transport that fails before it sends has asked for an iterator perhaps, and not for a message.
    request.message[Symbol.asyncIterator]();
    expect(mayRepeat()).toBe(true);
    expect(await read(request)).toEqual([1, 2]);
    expect(mayRepeat()).toBe(false);
  });

  test("is read once the first message is asked for, though it has not come", async () => {
    const never: AsyncIterable<ToyRequest> = {
      [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }),
    };
    const { request, mayRepeat } = await repeatable(streamRequest(CLIENT, { messages: never }));
    void request.message[Symbol.asyncIterator]().next();
    expect(mayRepeat()).toBe(false);
  });

  test("that was left is not sent again: what is left of it would pass for a stream without messages", async () => {
    const messages = numbers(1, 2);
    const { request, mayRepeat } = await repeatable(streamRequest(CLIENT, { messages }));
    expect(await request.message[Symbol.asyncIterator]().return?.()).toMatchObject({ done: true });
    expect(mayRepeat()).toBe(false);
    expect(await messages.next()).toMatchObject({ done: true });
  });

  test("that cannot be left may be left all the same", async () => {
    const plain: AsyncIterable<ToyRequest> = {
      [Symbol.asyncIterator]: () => ({ next: async () => ({ done: true, value: undefined }) }),
    };
    const { request } = await repeatable(streamRequest(CLIENT, { messages: plain }));
    expect(await request.message[Symbol.asyncIterator]().return?.(5)).toEqual({ done: true, value: 5 });
  });
});

describe("a response", () => {
  /** A stream of texts, and whether its reader left it. */
  function texts(all: readonly string[], error?: unknown) {
    const state = { asked: 0, left: false };
    async function* messages() {
      try {
        for (const text of all) {
          state.asked++;
          yield { text } as ToyResponse;
        }
        if (error) throw error;
      } finally {
        state.left = true;
      }
    }
    return { state, response: streamAnswer({ method: SERVER }, messages()) };
  }
  const textsOf = async (messages: AsyncIterable<unknown>) =>
    (await Array.fromAsync(messages)).map((message) => (message as ToyResponse).text);

  test("is there with its first message, and asks for no more", async () => {
    const { state, response } = texts(["a", "b"]);
    const peeked = await peekFirst(response);
    expect(state.asked).toBe(1);
    expect(await textsOf(peeked.message)).toEqual(["a", "b"]);
  });

  test("without any message is there with its end", async () => {
    const { response } = texts([]);
    expect(await textsOf((await peekFirst(response)).message)).toEqual([]);
  });

  test("that fails before its first message is not there", async () => {
    const error = new Error("no");
    await expect(peekFirst(texts([], error).response)).rejects.toBe(error);
  });

  test("that fails later is there, and fails its reader", async () => {
    const error = new Error("no");
    const { message } = await peekFirst(texts(["a"], error).response);
    const iterator = message[Symbol.asyncIterator]();
    expect(await iterator.next()).toMatchObject({ value: { text: "a" } });
    await expect(iterator.next()).rejects.toBe(error);
  });

  test("whose reader leaves is left", async () => {
    const { state, response } = texts(["a", "b", "c"]);
    for await (const _ of (await peekFirst(response)).message) break;
    expect(state).toEqual({ asked: 1, left: true });
  });
});
