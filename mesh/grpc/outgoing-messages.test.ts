import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { HeardStream } from "../http2/heard-stream.ts";
import { gzip, identity } from "./compression.ts";
import { sendMessages } from "./outgoing-messages.ts";

/** A stream that keeps what is sent, and has room as the test says. */
function sending() {
  const sent: [number[], string][] = [];
  const state = { isOpen: true, isOver: false, hasRoom: true };
  const stream = new HeardStream();
  Object.defineProperty(stream, "isOpen", { get: () => state.isOpen });
  stream.send = (prefix, body) => {
    sent.push([[...prefix], String(Buffer.from(body))]);
    return state.hasRoom;
  };
  const drain = Promise.withResolvers<void>();
  const waits: string[] = [];
  const options = {
    compression: identity,
    isOver: () => state.isOver,
    serialize: (message: string) => Buffer.from(message),
    whenDrained: () => {
      waits.push("waits");
      return drain.promise;
    },
  };
  return { stream, sent, state, options, drain, waits };
}

test("messages leave in their order, each with its prefix", async () => {
  const { stream, sent, options } = sending();
  await sendMessages(stream, from("a", "bc"), options);
  expect(sent).toEqual([
    [[0, 0, 0, 0, 1], "a"],
    [[0, 0, 0, 0, 2], "bc"],
  ]);
});

test("the next is asked for when the one before has left", async () => {
  const { stream, sent, state, options, drain, waits } = sending();
  state.hasRoom = false;
  const asked: string[] = [];
  const all = sendMessages(stream, noted(asked, "a", "b"), options);
  while (waits.length === 0) await Promise.resolve();
  for (let i = 0; i < 20; i++) await Promise.resolve();
  expect([asked, sent.length]).toEqual([["a"], 1]);
  drain.resolve();
  await all;
  expect(asked).toEqual(["a", "b"]);
});

test.each(["isOpen", "isLocalEnded", "isOver"] as const)(
  "nothing is sent after the stream is over (%s)",
  async (how) => {
    const { stream, sent, state, options } = sending();
    let returned = 0;
    async function* messages() {
      try {
        yield "a";
        if (how === "isOpen") state.isOpen = false;
        else if (how === "isOver") state.isOver = true;
        else stream.isLocalEnded = true;
        yield "b";
        yield "c";
      } finally {
        returned++;
      }
    }
    await sendMessages(stream, messages(), options);
    expect([sent.length, returned]).toEqual([1, 1]);
  },
);

test("compressed messages are flagged", async () => {
  const { stream, options } = sending();
  const bodies: Uint8Array[] = [];
  stream.send = (prefix, body) => {
    expect([prefix[0], prefix[4]]).toEqual([1, body.length]);
    bodies.push(body);
    return true;
  };
  await sendMessages(stream, from("a", "b"), { ...options, compression: gzip });
  expect(bodies.map((body) => String(gunzipSync(body)))).toEqual(["a", "b"]);
});

test("what the messages throw is thrown", async () => {
  const { stream, options } = sending();
  // biome-ignore lint/correctness/useYield: it fails before it has anything to say
  async function* failing(): AsyncGenerator<string> {
    throw new Error("no more");
  }
  await expect(sendMessages(stream, failing(), options)).rejects.toThrow("no more");
});

async function* from(...messages: readonly string[]) {
  yield* messages;
}

async function* noted(asked: string[], ...messages: readonly string[]) {
  for (const message of messages) {
    asked.push(message);
    yield message;
  }
}
