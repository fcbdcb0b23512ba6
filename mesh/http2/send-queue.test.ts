import { Writable } from "node:stream";
import { expect, test } from "vitest";
import { framesIn } from "../testing/http2-frames.ts";
import { HeardStream } from "./heard-stream.ts";
import { OutgoingFrames } from "./outgoing-frames.ts";
import { SendQueue } from "./send-queue.ts";
import { initialSettings } from "./settings.ts";
import type { Stream } from "./stream.ts";

const NONE = new Uint8Array(0);

/** A queue whose frames are told as "stream: bytes", with `!` for END_STREAM and `h` for headers. */
function queueing({ maxHeldBytes = 2 ** 20 } = {}) {
  let octets = Buffer.alloc(0);
  const taking: (() => void)[] = [];
  const state = { isSlow: false, heldBytes: 0 };
  const socket = new Writable({
    highWaterMark: 10,
    write(chunk, _encoding, done) {
      octets = Buffer.concat([octets, chunk]);
      if (state.isSlow) taking.push(done);
      else done();
    },
  }) as never;
  const peer = initialSettings();
  const frames = new OutgoingFrames(socket, peer);
  const ended: Stream[] = [];
  const queue = new SendQueue({
    frames,
    peer,
    onEnded: (stream) => ended.push(stream),
    hold(bytes) {
      if (state.heldBytes + bytes > maxHeldBytes) return false;
      state.heldBytes += bytes;
      return true;
    },
    release(bytes) {
      state.heldBytes -= bytes;
    },
  });
  const stream = (id: number, sendWindow = 65_535) => Object.assign(new HeardStream(), { id, sendWindow });
  const send = (to: Stream, bytes: number, isEnd = false) => queue.send(to, NONE, Buffer.alloc(bytes), isEnd);
  const sent = () => {
    frames.flush();
    const told = framesIn(octets).frames.map(
      ({ type, flags, stream, payload }) =>
        `${stream}: ${type === 1 ? "h" : payload.length}${flags & 1 ? "!" : ""}`,
    );
    octets = Buffer.alloc(0);
    return told;
  };
  return { queue, frames, peer, stream, send, sent, ended, state, take: () => taking.shift()?.() };
}

test("what may go goes at once, and nothing is held", () => {
  const { send, stream, sent, ended, state } = queueing();
  const one = stream(1);
  expect(send(one, 100, true)).toBe("sent");
  expect([one.sendWindow, state.heldBytes]).toEqual([65_435, 0]);
  expect(sent()).toEqual(["1: 100!"]);
  expect(ended).toEqual([one]);
});

test("a stream's window bounds what goes, and the rest goes when it is wider", () => {
  const { queue, send, stream, sent, ended, state } = queueing();
  const one = stream(1, 60);
  expect(send(one, 100, true)).toBe("waits");
  expect(sent()).toEqual(["1: 60"]);
  expect([state.heldBytes, ended.length, one.drains]).toEqual([40, 0, 0]);
  one.sendWindow += 30;
  queue.sendWaiting();
  one.sendWindow += 30;
  queue.sendWaiting();
  expect(sent()).toEqual(["1: 30", "1: 10!"]);
  expect([state.heldBytes, ended.length, one.sendWindow, one.unsent]).toEqual([0, 1, 20, undefined]);
});

test("the connection's window is for all streams together", () => {
  const { queue, send, stream, sent } = queueing();
  const [one, two] = [stream(1), stream(3)];
  for (let i = 0; i < 4; i++) send(one, 16_000);
  expect(send(two, 2_000)).toBe("waits");
  expect(sent()).toEqual(["1: 16000", "1: 16000", "1: 16000", "1: 16000", "3: 1535"]);
  expect(queue.widen(465)).toBe(true);
  queue.sendWaiting();
  expect(sent()).toEqual(["3: 465"]);
  expect(two.drains).toBe(1);
});

test("a window of all streams may not pass 2^31-1", () => {
  const { queue } = queueing();
  expect(queue.widen(2 ** 31 - 1 - 65_535)).toBe(true);
  expect(queue.widen(1)).toBe(false);
});

test("streams that wait take turns, whichever window is opened when", () => {
  const { queue, send, stream, sent } = queueing();
  const streams = [stream(1), stream(3), stream(5)];
  const filler = stream(7);
  for (let bytes = 65_535; bytes > 0; bytes -= 16_384) send(filler, Math.min(bytes, 16_384));
  for (const each of streams) send(each, 20_000, true);
  sent();
  for (let i = 0; i < 4; i++) {
    queue.widen(5_000);
    queue.sendWaiting();
  }
  // Not the first one four times.
  expect(sent()).toEqual(["1: 5000", "3: 5000", "5: 5000", "1: 5000"]);
  queue.widen(2 ** 20);
  queue.sendWaiting();
  expect(sent()).toEqual(["3: 15000!", "5: 15000!", "1: 10000!"]);
});

test("a frame is no larger than the peer takes, and than what lets others have their turn", () => {
  const { peer, queue, send, stream, sent } = queueing();
  queue.widen(2 ** 20);
  const one = stream(1, 2 ** 20);
  send(one, 40_000);
  expect(sent()).toEqual(["1: 16384", "1: 16384", "1: 7232"]);
  peer.maxFrameBytes = 2 ** 24 - 1;
  expect(send(one, 65_536)).toBe("sent");
  send(one, 100_000);
  expect(sent()).toEqual(["1: 65536", "1: 65536", "1: 34464"]);
});

test("what comes behind data that waits keeps its place, trailers last", () => {
  const { queue, send, stream, sent, ended } = queueing();
  const one = stream(1, 10);
  expect(queue.sendBehind(one, [])).toBe(false);
  send(one, 15);
  send(one, 5);
  expect(queue.sendBehind(one, [{ name: "a", value: "b" }])).toBe(true);
  expect(sent()).toEqual(["1: 10"]);
  one.sendWindow = 100;
  queue.sendWaiting();
  expect(sent()).toEqual(["1: 10", "1: h!"]);
  expect(ended).toEqual([one]);
});

test("an empty end and trailers go through a window below 0", () => {
  const { queue, peer, send, stream, sent, ended } = queueing();
  const one = stream(1, -5);
  expect(send(one, 0, true)).toBe("sent");
  expect(sent()).toEqual(["1: 0!"]);
  expect(ended).toEqual([one]);
  const two = stream(3, 0);
  send(two, 1);
  two.sendWindow = -peer.initialWindowBytes;
  queue.sendWaiting();
  expect(sent()).toEqual([]);
});

test("while the socket is full data waits, and goes when it has drained", async () => {
  const { queue, frames, send, stream, sent, state, take } = queueing();
  state.isSlow = true;
  const [one, two] = [stream(1), stream(3)];
  send(one, 100);
  expect(sent()).toEqual(["1: 100"]);
  expect(frames.isFull).toBe(true);
  expect(send(two, 7)).toBe("waits");
  expect(send(one, 0, true)).toBe("waits");
  expect(sent()).toEqual([]);
  take();
  frames.drained();
  queue.sendWaiting();
  state.isSlow = false;
  await new Promise(setImmediate);
  expect(sent()).toEqual(["3: 7", "1: 0!"]);
  expect(state.heldBytes).toBe(0);
});

test("too much that waits is refused, and nothing of it is kept", () => {
  const { send, stream, sent, state } = queueing({ maxHeldBytes: 50 });
  const one = stream(1, 0);
  expect(send(one, 50)).toBe("waits");
  expect(send(one, 1)).toBe("refused");
  expect(send(stream(3, 0), 1)).toBe("refused");
  expect([one.unsent?.bytes, state.heldBytes]).toEqual([50, 50]);
  expect(sent()).toEqual([]);
});

test("a stream that is forgotten sends nothing more, and holds nothing", () => {
  const { queue, send, stream, sent, state } = queueing();
  const [one, two] = [stream(1, 10), stream(3, 10)];
  send(one, 30, true);
  send(two, 30, true);
  queue.forget(one);
  queue.forget(one);
  expect(state.heldBytes).toBe(20);
  one.sendWindow = two.sendWindow = 100;
  queue.sendWaiting();
  expect(sent()).toEqual(["1: 10", "3: 10", "3: 20!"]);
  expect(state.heldBytes).toBe(0);
});

test("a prefix is its writer's again at once", () => {
  const { queue, stream, sent } = queueing();
  const one = stream(1, 0);
  const prefix = new Uint8Array(5);
  queue.send(one, prefix, Buffer.alloc(3), false);
  prefix.fill(9);
  const out = Buffer.alloc(8);
  one.unsent?.moveTo(out, 0, 8);
  expect(out).toEqual(Buffer.alloc(8));
  expect(sent()).toEqual([]);
});

test("who sends more as soon as it has drained does not keep the others waiting", () => {
  const { queue, send, stream, sent } = queueing();
  let left = 3;
  const greedy = stream(1, 0);
  greedy.onDrain = () => {
    if (left-- > 0) send(greedy, 40_000);
  };
  const other = stream(3, 0);
  send(greedy, 5);
  send(other, 20_000);
  queue.widen(2 ** 20);
  greedy.sendWindow = other.sendWindow = 2 ** 20;
  queue.sendWaiting();
  const all = sent();
  expect(all[0]).toBe("1: 5");
  expect(all.slice(0, 5).filter((each) => each.startsWith("3: "))).toEqual(["3: 16384", "3: 3616"]);
  expect(all.filter((each) => each.startsWith("1: "))).toHaveLength(1 + 3 * 3);
});
