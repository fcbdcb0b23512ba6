import { expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { frame } from "../testing/http2-frames.ts";
import { Client, type ClientOptions } from "./client.ts";
import { ErrorCode } from "./error-code.ts";
import { FrameType } from "./frame.ts";
import { HeardStream } from "./heard-stream.ts";
import { type RawPeer, rawPeer, settings, uint32 } from "./raw-peer.ts";

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const ended = (peer: RawPeer, id: number) => peer.send(peer.headers(id, [":status: 200"], true));

/** A client whose sockets are opened, and fail, when the test says so. */
function reaching(options: Partial<ClientOptions> = {}) {
  const clock = manualClock();
  const peers: RawPeer[] = [];
  const client = new Client({
    connect() {
      const peer = rawPeer("server");
      peers.push(peer);
      return peer.socket;
    },
    clock,
    random: () => 0.5,
    ...options,
  });
  const open = async () => {
    peers.at(-1)?.socket.emit("connect");
    await turn();
  };
  const refuse = async () => {
    peers.at(-1)?.socket.destroy(new Error("ECONNREFUSED"));
    await turn();
  };
  const start = () => {
    const stream = new HeardStream();
    client.start(stream);
    return stream;
  };
  return { client, clock, peers, open, refuse, start, peer: () => peers.at(-1) as RawPeer };
}

const deliveries = (streams: readonly HeardStream[]) => streams.map(({ failure }) => failure?.delivery);

test("the first stream opens a connection, others wait for it, and they begin in their order", async () => {
  const { peers, open, start, peer } = reaching();
  const streams = [start(), start(), start()];
  expect([peers.length, streams.every(({ isOpen }) => !isOpen)]).toEqual([1, true]);
  await open();
  expect(streams.map(({ id }) => id)).toEqual([1, 3, 5]);
  expect(start().id).toBe(7);
  expect(peers).toHaveLength(1);
  ended(peer(), 1);
  await peer().settled();
  expect(streams[0]?.heard).toEqual([":status: 200", "END"]);
});

test("streams above what the server takes wait, and begin as others end", async () => {
  const { open, start, peer } = reaching();
  const first = start();
  await open();
  peer().send(frame(FrameType.SETTINGS, 0, 0, settings({ 3: 1 })));
  await peer().settled();
  const [second, third] = [start(), start()];
  expect([second.isOpen, third.isOpen]).toEqual([false, false]);
  ended(peer(), first.id);
  await peer().settled();
  expect([second.isOpen, third.isOpen]).toEqual([true, false]);
  second.reset(ErrorCode.CANCEL);
  expect(third.isOpen).toBe(true);
});

test("a stream that is forgotten does not begin", async () => {
  const { client, open, start } = reaching();
  const [one, two] = [start(), start()];
  client.forget(one);
  await open();
  expect([one.id, two.id, one.heard]).toEqual([0, 1, []]);
});

test("where nobody listens streams are NOT_SENT, at once for a while that grows, and then it is tried again", async () => {
  const { clock, peers, refuse, start } = reaching();
  for (const waitMs of [
    40, 64, 102.4, 163.84, 262.144, 419.4304, 671.089, 1_073.742, 1_717.987, 2_000, 2_000,
  ]) {
    const tried = start();
    expect(tried.failure).toBeUndefined();
    await refuse();
    expect(tried.failure).toMatchObject({ delivery: "NOT_SENT", message: "no connection: ECONNREFUSED" });
    const count = peers.length;
    clock.advance(waitMs - 0.001);
    expect(start().failure?.delivery).toBe("NOT_SENT");
    expect(peers).toHaveLength(count);
    clock.advance(0.002);
  }
});

test("the wait has jitter of a fifth to both sides", async () => {
  for (const [chance, waitMs] of [
    [0, 32],
    [0.999999, 48],
  ] as const) {
    const { clock, peers, refuse, start } = reaching({ random: () => chance });
    start();
    await refuse();
    clock.advance(waitMs - 0.01);
    start();
    expect(peers).toHaveLength(1);
    clock.advance(0.02);
    start();
    expect(peers).toHaveLength(2);
  }
});

test("after a connection that was heard the wait begins anew", async () => {
  const { clock, peers, open, refuse, start, peer } = reaching();
  start();
  await refuse();
  clock.advance(40);
  start();
  await refuse();
  clock.advance(64);
  const stream = start();
  await open();
  await peer().settled();
  peer().destroy();
  await turn();
  expect(stream.failure?.delivery).toBe("LOST");
  start();
  await refuse();
  clock.advance(40);
  start();
  expect(peers).toHaveLength(5);
});

test("a server that takes connections and says nothing is given one more, then it is waited", async () => {
  const silent = () => {
    const peer = rawPeer("silent");
    sockets.push(peer);
    return peer.socket;
  };
  const sockets: RawPeer[] = [];
  const { clock, start } = reaching({ connect: silent });
  const die = async () => {
    sockets.at(-1)?.socket.emit("connect");
    sockets.at(-1)?.destroy();
    await turn();
  };
  const first = start();
  await die();
  const second = start();
  await die();
  const third = start();
  expect(deliveries([first, second, third])).toEqual(["LOST", "LOST", "NOT_SENT"]);
  expect(sockets).toHaveLength(2);
  clock.advance(64);
  expect(start().failure).toBeUndefined();
  expect(sockets).toHaveLength(3);
});

test("a connection that takes too long to open is given up, and its socket with it", async () => {
  const { clock, start, peer } = reaching({ connectWithinMs: 300 });
  const streams = [start(), start()];
  clock.advance(299);
  expect(deliveries(streams)).toEqual([undefined, undefined]);
  clock.advance(1);
  expect(deliveries(streams)).toEqual(["NOT_SENT", "NOT_SENT"]);
  expect(peer().socket.destroyed).toBe(true);
  await clock.whenSleeping(0);
});

test("a socket that cannot even be made is as one that does not open", () => {
  const { start } = reaching({
    connect() {
      throw new RangeError("a port above 65535");
    },
  });
  const stream = start();
  expect(stream.failure).toMatchObject({
    delivery: "NOT_SENT",
    message: "no connection: a port above 65535",
  });
});

test("too many that wait are NOT_SENT", async () => {
  const { open, start } = reaching({ maxWaiting: 2 });
  const streams = [start(), start(), start()];
  expect(deliveries(streams)).toEqual([undefined, undefined, "NOT_SENT"]);
  await open();
  expect(streams.map(({ isOpen }) => isOpen)).toEqual([true, true, false]);
});

test("after GOAWAY new streams go to a new connection, and the old one ends by itself", async () => {
  const { client, open, start, peers } = reaching();
  const before = start();
  await open();
  const old = peers[0] as RawPeer;
  await old.settled();
  old.send(frame(FrameType.GOAWAY, 0, 0, Buffer.concat([uint32(1), uint32(0)])));
  await old.settled();
  const after = start();
  await open();
  expect([peers.length, after.id, before.isOpen]).toEqual([2, 1, true]);
  ended(old, 1);
  await old.ended;
  expect(before.heard).toEqual([":status: 200", "END"]);
  expect(after.isOpen).toBe(true);
  client.close();
});

test("streams that wait when their connection goes away begin on the next one", async () => {
  const { open, start, peers } = reaching();
  const first = start();
  await open();
  const old = peers[0] as RawPeer;
  old.send(frame(FrameType.SETTINGS, 0, 0, settings({ 3: 1 })));
  await old.settled();
  const waiting = start();
  old.send(frame(FrameType.GOAWAY, 0, 0, Buffer.concat([uint32(0), uint32(0)])));
  await old.ended;
  expect(first.failure?.delivery).toBe("REFUSED");
  await open();
  expect([peers.length, waiting.isOpen, waiting.id]).toEqual([2, true, 1]);
});

test("close ends what runs and what waits, and nothing begins any more", async () => {
  const { client, clock, open, start, peers, peer } = reaching();
  const running = start();
  await open();
  peer().send(frame(FrameType.SETTINGS, 0, 0, settings({ 3: 1 })));
  await peer().settled();
  const waiting = start();
  client.close();
  client.close();
  expect(deliveries([running, waiting, start()])).toEqual(["LOST", "NOT_SENT", "NOT_SENT"]);
  expect(peers).toHaveLength(1);
  await clock.whenSleeping(0);
});

test("close while it connects gives the socket up", async () => {
  const { client, clock, start, peer } = reaching();
  const stream = start();
  client.close();
  expect([stream.failure?.delivery, peer().socket.destroyed]).toEqual(["NOT_SENT", true]);
  await turn();
  await clock.whenSleeping(0);
});

test("another event may say that the socket is there", async () => {
  const peer = rawPeer("server");
  const { start } = reaching({ connect: () => peer.socket, connected: "secureConnect" });
  const stream = start();
  peer.socket.emit("connect");
  expect(stream.isOpen).toBe(false);
  peer.socket.emit("secureConnect");
  expect(stream.isOpen).toBe(true);
});
