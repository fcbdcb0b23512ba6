import { createClient } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { FrameType } from "../../mesh/http2/frame.ts";
import { dataPlaneOf } from "../../mesh/rpc/data-planes.ts";
import { atEnd } from "../../mesh/testing/at-end.ts";
import { FrameFlag, frame } from "../../mesh/testing/http2-frames.ts";
import { testServer } from "../../mesh/testing/server.ts";
import type { ToyRequest, ToyResponse } from "../../mesh/testing/toy-calls.ts";
import { until } from "../../mesh/testing/until.ts";
import { attacker, callHeaders, envelope, uint32 } from "./attacker.ts";
import { service } from "./contract.ts";

/** What a side lets the other send on a stream before somebody has taken it. */
const WINDOW_BYTES = 262_144;
/** What HTTP/2 begins with, for a peer that says nothing of windows. */
const DEFAULT_WINDOW_BYTES = 65_535;
const TEXT = "x".repeat(1_000);
/** A message with that text, in its envelope: 5 octets of head, 3 of tag and length. */
const MESSAGE_BYTES = 1_008;
/** Beside the window: the message that waits for it. */
const WAITING = 1;

interface Calls {
  ask(message: Partial<ToyRequest>): Promise<ToyResponse>;
  watch(message: Partial<ToyRequest>): AsyncIterable<ToyResponse>;
  talk(messages: AsyncIterable<Partial<ToyRequest>>): AsyncIterable<ToyResponse>;
}

/** A server that says much, and hears only as many as it is let. */
async function opened() {
  const seen = { said: 0, heard: 0, mayHear: 0 };
  const server = await testServer(service, {
    ask: () => ({ text: "" }),
    async *watch() {
      for (;;) {
        seen.said++;
        yield { text: TEXT };
      }
    },
    // It answers nothing, so that only what it hears is in its way.
    async *talk(requests: AsyncIterable<ToyRequest>) {
      const reading = requests[Symbol.asyncIterator]();
      for (;;) {
        await until(() => seen.heard < seen.mayHear);
        if ((await reading.next()).done) return;
        seen.heard++;
      }
    },
  } as never);
  const transport = dataPlaneOf().grpc(server.endpoint, { interceptors: [], maxMessageBytes: 2 ** 22 });
  atEnd(async () => transport.close());
  const calls = createClient(service, transport) as unknown as Calls;
  /** Resolves when both sides have had every chance to go on, and what they sent before has arrived. */
  const settled = async () => {
    for (let i = 0; i < 20; i++) await calls.ask({});
  };
  return { server, seen, calls, settled };
}

test("who answers is never further ahead of who reads than the window and one message", async () => {
  const { seen, calls, settled } = await opened();
  const reading = calls.watch({})[Symbol.asyncIterator]();
  let read = 0;
  for (const reads of [1, 50, 500, 1]) {
    for (let i = 0; i < reads; i++, read++) expect((await reading.next()).value.text).toBe(TEXT);
    // A window is given back by halves.
    await until(() => seen.said - read >= Math.floor(WINDOW_BYTES / 2 / MESSAGE_BYTES));
    await settled();
    expect(seen.said - read).toBeLessThanOrEqual(Math.floor(WINDOW_BYTES / MESSAGE_BYTES) + WAITING);
  }
  await reading.return?.();
});

test("the same for a peer on a raw socket, to the message", async () => {
  const { server, seen } = await opened();
  const peer = await attacker(server.port);
  const question = frame(FrameType.DATA, FrameFlag.END_STREAM, 1, envelope(Buffer.alloc(0)));
  await peer.send(peer.headers(1, callHeaders("Watch")), question);
  const received = () =>
    peer.frames.reduce((sum, { type, payload }) => sum + (type === FrameType.DATA ? payload.length : 0), 0);
  const pongs = () => peer.frames.filter(({ type }) => type === FrameType.PING).length;
  for (const [round, more] of [0, 1, MESSAGE_BYTES, 10_000].entries()) {
    const window = frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(more));
    if (more > 0) await peer.send(window, frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(more)));
    const allowed =
      DEFAULT_WINDOW_BYTES + [0, 1, MESSAGE_BYTES, 10_000].slice(0, round + 1).reduce((a, b) => a + b);
    await until(() => received() === allowed);
    await peer.send(frame(FrameType.PING, 0, 0, Buffer.alloc(8)));
    await until(() => pongs() === round + 1);
    expect(received()).toBe(allowed);
    expect(seen.said).toBe(Math.floor(allowed / MESSAGE_BYTES) + WAITING);
  }
});

test("who asks is never further ahead of a handler that reads slowly than the window and one message", async () => {
  const { seen, calls, settled } = await opened();
  let said = 0;
  let isOver = false;
  async function* questions() {
    while (!isOver) {
      said++;
      yield { toyId: TEXT };
    }
  }
  const answers = calls.talk(questions())[Symbol.asyncIterator]();
  const ended = answers.next();
  for (const mayHear of [0, 1, 100, 600]) {
    seen.mayHear = mayHear;
    await until(() => seen.heard === mayHear);
    await until(() => said - seen.heard >= Math.floor(WINDOW_BYTES / 2 / MESSAGE_BYTES));
    await settled();
    expect(said - seen.heard).toBeLessThanOrEqual(Math.floor(WINDOW_BYTES / MESSAGE_BYTES) + WAITING);
  }
  isOver = true;
  seen.mayHear = Number.POSITIVE_INFINITY;
  expect((await ended).done).toBe(true);
  expect(seen.heard).toBe(said);
});
