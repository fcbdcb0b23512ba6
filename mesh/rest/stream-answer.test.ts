import type { JsonValue } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { type StreamType, streamAnswer } from "./stream-answer.ts";

function answering(messages: AsyncIterable<JsonValue>, type: StreamType, onLeft = () => {}) {
  const clock = manualClock();
  const headers = new Headers();
  const answer = streamAnswer(messages, {
    type,
    headers,
    clock,
    firstWithinMs: 250,
    silentForMs: 15_000,
    onLeft,
  });
  return { clock, answer };
}

async function* these(...values: readonly (JsonValue | Error)[]) {
  for (const value of values) {
    if (value instanceof Error) throw value;
    yield value;
  }
}

const gone = new ConnectError("there is no order o1", Code.NotFound);

test("lines: a result each", async () => {
  const answer = await answering(these({ n: 1 }, { n: 2 }), "application/x-ndjson").answer;
  expect(answer.headers.get("content-type")).toBe("application/x-ndjson");
  expect(answer.headers.get("cache-control")).toBe("no-store");
  expect(await answer.text()).toBe('{"result":{"n":1}}\n{"result":{"n":2}}\n');
});

test("events: a message each, and that it is the end", async () => {
  const answer = await answering(these({ n: 1 }), "text/event-stream").answer;
  expect(await answer.text()).toBe('data: {"n":1}\n\nevent: end\ndata: {}\n\n');
});

test("an error in place of the first message is an error, not a stream", async () => {
  await expect(answering(these(gone), "text/event-stream").answer).rejects.toBe(gone);
});

test.each<[StreamType, string]>([
  [
    "application/x-ndjson",
    '{"result":1}\n{"error":{"code":5,"message":"there is no order o1","details":[]}}\n',
  ],
  [
    "text/event-stream",
    'data: 1\n\nevent: failed\ndata: {"code":5,"message":"there is no order o1","details":[]}\n\n',
  ],
])("a later error is the last of %s", async (type, text) => {
  expect(await (await answering(these(1, gone), type).answer).text()).toBe(text);
});

test("an error of our own has no text", async () => {
  const text = await (await answering(these(1, new Error("secret")), "application/x-ndjson").answer).text();
  expect(text).toContain('"message":"internal error"');
  expect(text).not.toContain("secret");
});

test("an answer whose first message is long in coming begins without it", async () => {
  let come: (value: JsonValue) => void = () => {};
  const first = new Promise<JsonValue>((resolve) => {
    come = resolve;
  });
  async function* late() {
    yield await first;
  }
  const { clock, answer } = answering(late(), "application/x-ndjson");
  await clock.whenSleeping(1);
  clock.advance(250);
  const { body } = await answer;
  const reader = body?.getReader();
  const reading = reader?.read();
  come({ n: 1 });
  expect(new TextDecoder().decode((await reading)?.value)).toBe('{"result":{"n":1}}\n');
});

test("nothing is asked for before it is read, and that the reader leaves is told", async () => {
  let asked = 0;
  async function* counted() {
    for (;;) yield ++asked;
  }
  let left = 0;
  const answer = await answering(counted(), "application/x-ndjson", () => left++).answer;
  const reader = answer.body?.getReader();
  expect(asked).toBe(1);
  await reader?.read();
  await reader?.read();
  expect(asked).toBe(2);
  await reader?.cancel();
  expect(left).toBe(1);
});

test("events say each 15 s that there is nothing yet, so that nobody takes the connection for dead; lines cannot", async () => {
  const read = async (type: StreamType) => {
    const coming = Promise.withResolvers<JsonValue>();
    const messages = (async function* () {
      yield 1;
      yield await coming.promise;
    })();
    const { clock, answer } = answering(messages, type);
    const reader = (await answer).body?.pipeThrough(new TextDecoderStream()).getReader();
    const next = async () => (await reader?.read())?.value;
    const first = await next();
    return { clock, first, next, come: coming.resolve };
  };
  const events = await read("text/event-stream");
  expect(events.first).toBe("data: 1\n\n");
  for (let times = 0; times < 2; times++) {
    const said = events.next();
    await events.clock.whenSleeping(1);
    events.clock.advance(15_000);
    expect(await said).toBe(": nothing yet\n\n");
  }
  events.come(2);
  expect(await events.next()).toBe("data: 2\n\n");

  const lines = await read("application/x-ndjson");
  const second = lines.next();
  await lines.clock.whenSleeping(0);
  lines.come(2);
  expect(await second).toBe('{"result":2}\n');
});

test("what fails while nothing is said is told when it is asked for", async () => {
  const failing = Promise.withResolvers<JsonValue>();
  const messages = (async function* () {
    yield 1;
    yield await failing.promise;
  })();
  const { clock, answer } = answering(messages, "text/event-stream");
  const reader = (await answer).body?.pipeThrough(new TextDecoderStream()).getReader();
  await reader?.read();
  const idle = reader?.read();
  await clock.whenSleeping(1);
  clock.advance(15_000);
  await idle;
  failing.reject(gone);
  expect((await reader?.read())?.value).toMatch(/^event: failed/);
});
