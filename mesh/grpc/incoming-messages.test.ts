import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { gzipSync } from "node:zlib";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { HeardStream } from "../http2/heard-stream.ts";
import { COMPRESSED } from "./envelope.ts";
import { IncomingMessages } from "./incoming-messages.ts";

const GZIP = [{ name: "grpc-encoding", value: "gzip" }];
const done = { done: true, value: undefined };
const value = (text: string) => ({ done: false, value: text });

function envelope(bytes: string | Buffer, flags = 0): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, Buffer.from(bytes)]);
}
const zipped = (text: string) => envelope(gzipSync(text), COMPRESSED);

function receiving({ maxMessageBytes = 100_000 } = {}) {
  const seen = { left: 0, parsed: 0, broken: [] as unknown[] };
  let takenBytes = 0;
  const held: number[] = [];
  const stream = new HeardStream();
  stream.taken = (bytes) => {
    takenBytes += bytes;
  };
  stream.hold = (bytes) => {
    held.push(bytes);
    return bytes <= 50_000;
  };
  const messages = new IncomingMessages<string>(stream, {
    maxMessageBytes,
    parse(bytes) {
      seen.parsed++;
      if (String(bytes) === "bad") throw new ConnectError("cannot be read", Code.Internal);
      return String(bytes);
    },
    onLeft: () => void seen.left++,
    onBroken: (error) => void seen.broken.push(error),
  });
  messages.encodedAs(GZIP, true);
  const push = (...parts: readonly Buffer[]) => {
    const chunk = Buffer.concat(parts);
    messages.push(chunk, 0, chunk.length);
  };
  return { messages, push, seen, held, takenBytes: () => takenBytes };
}

test("messages are given out as they are asked for, before they come or after", async () => {
  const { messages, push, takenBytes } = receiving();
  push(envelope("a"), envelope("b"));
  expect(takenBytes()).toBe(0);
  expect(await messages.next()).toEqual(value("a"));
  expect(takenBytes()).toBe(6);
  expect(await messages.next()).toEqual(value("b"));
  const asked = [messages.next(), messages.next()];
  push(envelope("c"), envelope("d"), envelope("e"));
  expect(await Promise.all(asked)).toEqual([value("c"), value("d")]);
  expect(takenBytes()).toBe(24);
});

test("a compressed message is not overtaken, by the next one or by the end", async () => {
  const { messages, push } = receiving();
  const settled: string[] = [];
  const ask = async (name: string) => {
    const result = await messages.next();
    settled.push(`${name}: ${result.done ? "done" : result.value}`);
  };
  const asked = [ask("first"), ask("second")];
  push(zipped("slow"), envelope("quick"), zipped("slow again"));
  asked.push(ask("third"), ask("fourth"));
  messages.end(undefined);
  asked.push(ask("fifth"));
  await Promise.all(asked);
  expect(settled).toEqual([
    "first: slow",
    "second: quick",
    "third: slow again",
    "fourth: done",
    "fifth: done",
  ]);
});

test("those that wait are given before the end, and an error is told once", async () => {
  const { messages, push } = receiving();
  push(envelope("a"));
  messages.end(new Error("lost"));
  messages.end(new Error("another"));
  expect(await messages.next()).toEqual(value("a"));
  await expect(messages.next()).rejects.toThrow("lost");
  expect(await messages.next()).toEqual(done);
});

test("of several who ask, the first is told the error", async () => {
  const { messages } = receiving();
  const asked = [messages.next(), messages.next(), messages.next()];
  messages.end(new Error("lost"));
  expect((await Promise.allSettled(asked)).map(({ status }) => status)).toEqual([
    "rejected",
    "fulfilled",
    "fulfilled",
  ]);
});

test("the end within a message is INTERNAL", async () => {
  const { messages, push } = receiving();
  push(envelope("abc").subarray(0, 7));
  messages.end(undefined);
  await expect(messages.next()).rejects.toMatchObject({ code: Code.Internal });
});

test.each([
  ["parsed", envelope("bad")],
  ["decompressed", envelope("no gzip", COMPRESSED)],
])("a message that cannot be %s is the last, and its stream is told", async (_, octets) => {
  const { messages, push, seen } = receiving();
  push(envelope("a"), octets, envelope("after"));
  expect(await messages.next()).toEqual(value("a"));
  await expect(messages.next()).rejects.toMatchObject({ code: Code.Internal });
  expect(seen).toMatchObject({ broken: [{ code: Code.Internal }], left: 0 });
  expect(await messages.next()).toEqual(done);
  push(envelope("more"));
  expect(await messages.next()).toEqual(done);
});

test("a compressed message is bounded by what a message may be", async () => {
  const { messages, push } = receiving({ maxMessageBytes: 1_000 });
  push(zipped("x".repeat(1_001)));
  await expect(messages.next()).rejects.toMatchObject({ code: Code.ResourceExhausted });
});

test("who reads no more is told to the stream, once, and gets nothing more", async () => {
  const { messages, push, seen } = receiving();
  push(envelope("a"), envelope("b"));
  for await (const each of messages) {
    expect(each).toBe("a");
    break;
  }
  expect(seen.left).toBe(1);
  push(envelope("c"));
  expect(await messages.next()).toEqual(done);
  await messages.return();
  messages.end(new Error("lost"));
  expect(await messages.next()).toEqual(done);
  expect(seen).toMatchObject({ left: 1, broken: [] });
});

test("who leaves after the end leaves nothing", async () => {
  const { messages, push, seen } = receiving();
  push(envelope("a"));
  messages.end(undefined);
  expect(await messages.return()).toEqual(done);
  expect(await messages.next()).toEqual(done);
  expect(seen.left).toBe(0);
});

test("what is held of a message in part is counted, and no more when it is whole or over", async () => {
  const { messages, push, held } = receiving();
  const octets = envelope("x".repeat(100));
  push(octets.subarray(0, 3));
  push(octets.subarray(3, 55));
  push(octets.subarray(55));
  expect(held).toEqual([3, 50, 0]);
  await messages.next();
  push(octets.subarray(0, 20));
  messages.end(new Error("lost"));
  await expect(messages.next()).rejects.toThrow("lost");
  expect(held).toEqual([3, 50, 0, 15, 0]);
});

test("more than the connection may hold is RESOURCE_EXHAUSTED", () => {
  const { push } = receiving();
  const octets = envelope("x".repeat(60_000));
  push(octets.subarray(0, 50_005));
  expect(() => push(octets.subarray(50_005, 50_010))).toThrow("holds too much");
});

test("what comes while somebody waits for it is parsed at once, and nothing else is", async () => {
  const { messages, push, seen } = receiving();
  const asked = messages.next();
  push(envelope("a"), envelope("b"));
  expect(seen.parsed).toBe(1);
  expect(await asked).toEqual(value("a"));
  expect(seen.parsed).toBe(1);
});

test("what was given out is let go of, though the reader never catches up", async () => {
  const { messages, push } = receiving();
  push(envelope("first"));
  const given: WeakRef<ArrayBufferLike>[] = [];
  for (let i = 0; i < 600; i++) {
    // So large that Node gives each memory of its own.
    const octets = envelope("x".repeat(10_000));
    messages.push(octets, 0, octets.length);
    given.push(new WeakRef(octets.buffer));
    await messages.next();
  }
  await collectGarbage();
  expect(given.filter((each) => each.deref() !== undefined).length).toBeLessThan(10);
  expect(await messages.next()).toEqual(value("x".repeat(10_000)));
});

test("a message that was given out is let go of, though one that came with its end waits", async () => {
  const parsed: WeakRef<Uint8Array>[] = [];
  const messages = new IncomingMessages<string>(new HeardStream(), {
    maxMessageBytes: 100_000,
    parse(bytes) {
      parsed.push(new WeakRef(bytes));
      return String(bytes);
    },
    onLeft() {},
    onBroken() {},
  });
  const octets = Buffer.concat([envelope("x".repeat(10_000)), envelope("waits")]);
  messages.push(octets, 0, 1_000);
  messages.push(octets, 1_000, octets.length);
  await messages.next();
  await collectGarbage();
  expect(parsed.map((each) => each.deref())).toEqual([undefined]);
  expect(await messages.next()).toEqual(value("waits"));
});

test("a chunk is not kept of which nothing waits", async () => {
  const { messages } = receiving();
  const pushed = (octets: Buffer) => {
    messages.push(octets, 0, octets.length);
    return new WeakRef(octets);
  };
  const asked = messages.next();
  const chunks = [pushed(envelope("a")), pushed(Buffer.from(envelope("b").subarray(0, 3)))];
  expect(await asked).toEqual(value("a"));
  await collectGarbage();
  expect(chunks.map((each) => each.deref())).toEqual([undefined, undefined]);
  expect(await messages.return()).toEqual(done);
});

async function collectGarbage(): Promise<void> {
  // A WeakRef that was made or read holds until its turn is over.
  await new Promise((resolve) => setImmediate(resolve));
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
}
