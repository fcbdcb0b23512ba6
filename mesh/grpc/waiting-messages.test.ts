import { ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import type { Stream } from "../http2/stream.ts";
import { Unheard } from "../http2/unheard.ts";
import { envelopeHead } from "./envelope-head.ts";
import { IncomingMessages } from "./incoming-messages.ts";

const enveloped = (text: string) =>
  Buffer.concat([envelopeHead(0, text.length), Buffer.from(text, "latin1")]);

function incoming(maxHeldBytes = Number.POSITIVE_INFINITY) {
  const stream: Stream = new Unheard();
  const seen = { taken: 0, broken: [] as unknown[], parsed: 0 };
  stream.taken = (bytes) => {
    seen.taken += bytes;
  };
  stream.hold = (bytes) => {
    if (bytes > maxHeldBytes) return false;
    stream.heldBytes = bytes;
    return true;
  };
  const messages = new IncomingMessages<string>(stream, {
    maxMessageBytes: 1_000,
    parse: (bytes) => {
      seen.parsed++;
      return Buffer.from(bytes).toString("latin1");
    },
    onLeft: () => {},
    onBroken: (error) => void seen.broken.push(error),
  });
  const push = (bytes: Buffer) => messages.push(bytes, 0, bytes.length);
  return { stream, messages, seen, push };
}

async function all(messages: AsyncIterable<string>): Promise<string[]> {
  const read: string[] = [];
  for await (const message of messages) read.push(message);
  return read;
}

test("10,000 messages that nobody reads are bytes, and come in their order when somebody does", async () => {
  const { stream, messages, push } = incoming();
  const said = Array.from({ length: 10_000 }, (_, i) => `${i}`);
  const bytes = Buffer.concat(said.map(enveloped));
  // Cut where no message ends.
  for (let at = 0; at < bytes.length; at += 1_001) push(Buffer.from(bytes.subarray(at, at + 1_001)));
  // All but those of the first chunk.
  expect(stream.heldBytes).toBeGreaterThan(bytes.length - 2 * 1_001);
  messages.end(undefined);
  expect(await all(messages)).toEqual(said);
});

test("of a chunk that is full of small messages 512 are read, and the rest are bytes", async () => {
  const { stream, messages, push } = incoming();
  const said = Array.from({ length: 1_000 }, (_, i) => String(i % 10));
  push(Buffer.concat(said.map(enveloped)));
  expect(stream.heldBytes).toBe((1_000 - 512) * enveloped("0").length);
  messages.end(undefined);
  expect(await all(messages)).toEqual(said);
});

test("a chunk that is used again does not change what waits", async () => {
  const { messages, push } = incoming();
  push(enveloped("first"));
  const chunk = enveloped("second");
  push(chunk);
  chunk.fill(0);
  messages.end(undefined);
  expect(await all(messages)).toEqual(["first", "second"]);
});

test("messages that come while one is being read stay behind those that came before", async () => {
  const { messages, push } = incoming();
  push(enveloped("1"));
  push(enveloped("2"));
  expect((await messages.next()).value).toBe("1");
  push(enveloped("3"));
  expect((await messages.next()).value).toBe("2");
  const third = messages.next();
  const fourth = messages.next();
  push(enveloped("4"));
  expect([(await third).value, (await fourth).value]).toEqual(["3", "4"]);
});

test("the peer may send as much again only when a message is taken", async () => {
  const { messages, seen, push } = incoming();
  push(enveloped("12345"));
  push(enveloped("12345"));
  expect(seen.taken).toBe(0);
  await messages.next();
  expect(seen).toMatchObject({ taken: 10, parsed: 1 });
  await messages.next();
  expect(seen).toMatchObject({ taken: 20, parsed: 2 });
});

test("what is no message is found when it is read, and ends the call", async () => {
  const { messages, seen, push } = incoming();
  push(enveloped("good"));
  push(Buffer.concat([enveloped("good too"), Buffer.of(0x80, 0, 0, 0, 0)]));
  expect((await messages.next()).value).toBe("good");
  expect((await messages.next()).value).toBe("good too");
  expect(seen.broken).toEqual([]);
  await expect(messages.next()).rejects.toThrow("flags");
  expect(seen.broken).toEqual([expect.any(ConnectError)]);
});

test("a stream that ends within a message that waits unread says so", async () => {
  const { messages, push } = incoming();
  push(enveloped("good"));
  push(enveloped("cut off").subarray(0, 8));
  messages.end(undefined);
  expect((await messages.next()).value).toBe("good");
  await expect(messages.next()).rejects.toThrow("incomplete message");
});

test("a peer that makes us hold too much is told", () => {
  const { push } = incoming(100);
  push(enveloped("x".repeat(90)));
  push(enveloped("x".repeat(90)));
  expect(() => push(enveloped("x".repeat(90)))).toThrow("holds too much");
});
