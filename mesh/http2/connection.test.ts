import { expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { FrameFlag, frame } from "../testing/http2-frames.ts";
import { ErrorCode } from "./error-code.ts";
import { FrameType } from "./frame.ts";
import { HeardStream, REQUEST } from "./heard-stream.ts";
import { rawPeer, settings, uint32 } from "./raw-peer.ts";
import { ServerConnection, type ServerConnectionOptions } from "./server-connection.ts";

const EMPTY = Buffer.alloc(0);
const data = (stream: number, bytes: number | string, isEnd = false) =>
  frame(
    FrameType.DATA,
    isEnd ? FrameFlag.END_STREAM : 0,
    stream,
    typeof bytes === "string" ? Buffer.from(bytes) : Buffer.alloc(bytes, "x"),
  );
const reset = (stream: number, code = 8) => frame(FrameType.RST_STREAM, 0, stream, uint32(code));
const goawayCode = (payload: Buffer) => payload.readUInt32BE(4);

/** A server, what its streams hear, and a client that says anything. */
function serving(options: ServerConnectionOptions = {}) {
  const peer = rawPeer("client");
  const streams: HeardStream[] = [];
  const clock = manualClock();
  const connection = new ServerConnection(
    peer.socket,
    () => {
      const stream = new HeardStream();
      streams.push(stream);
      return stream;
    },
    { clock, ...options },
  );
  const begin = async (id: number, isEnd = false) => {
    peer.send(peer.headers(id, REQUEST, isEnd));
    await peer.settled();
    return streams.at(-1) as HeardStream;
  };
  return { peer, connection, streams, begin, clock };
}

test("SETTINGS and the connection's window come first, and SETTINGS are acknowledged", async () => {
  const { peer } = serving({ streamWindowBytes: 100_000, connectionWindowBytes: 200_000 });
  await peer.settled();
  expect(peer.came.map(({ type, flags }) => [type, flags])).toEqual([
    [FrameType.SETTINGS, 0],
    [FrameType.WINDOW_UPDATE, 0],
    [FrameType.SETTINGS, FrameFlag.ACK],
    [FrameType.PING, FrameFlag.ACK],
  ]);
  const [said, window] = peer.came;
  expect(said?.payload.toString("hex")).toBe(
    settings({ 4: 100_000, 6: 32_768, 3: 1_000 })
      .toString("hex")
      .replace(/^(.{12})(.{12})(.{12})$/, "$2$3$1"),
  );
  expect(window?.payload).toEqual(uint32(200_000 - 65_535));
});

test("a stream is heard to its end, and then both have forgotten it", async () => {
  const { peer, connection, begin } = serving();
  const stream = await begin(1);
  peer.send(data(1, "abc"), data(1, "def", true));
  await peer.settled();
  expect(stream.heard).toEqual([...REQUEST, "abc", "def", "END"]);
  stream.sendHeaders([{ name: ":status", value: "200" }], false);
  stream.send(EMPTY, Buffer.from("answer"), false);
  expect(stream.isOpen).toBe(true);
  stream.sendHeaders([{ name: "x-end", value: "1" }], true);
  expect([stream.isOpen, connection.streams.size]).toEqual([false, 0]);
  expect((await peer.next(FrameType.HEADERS)).headers).toEqual([":status: 200"]);
  expect(String((await peer.next(FrameType.DATA)).payload)).toBe("answer");
  expect(await peer.next(FrameType.HEADERS)).toMatchObject({ headers: ["x-end: 1"], flags: 0x5 });
});

test("what a stream has taken is the peer's to send again, once it is half a window", async () => {
  const { peer, begin } = serving({ streamWindowBytes: 65_536 });
  const stream = await begin(1);
  stream.takesAtOnce = false;
  peer.send(data(1, 16_384), data(1, 16_384), data(1, 16_384), data(1, 16_384));
  await peer.settled();
  const updates = () =>
    peer.came.filter(({ type, stream }) => type === FrameType.WINDOW_UPDATE && stream > 0);
  expect(updates()).toEqual([]);
  stream.taken(32_767);
  await peer.settled();
  expect(updates()).toEqual([]);
  stream.taken(1);
  await peer.settled();
  expect(updates().map(({ payload }) => payload)).toEqual([uint32(32_768)]);
  expect(stream.receiveWindow).toBe(32_768);
});

test("more than a stream's window ends the stream, and its neighbour hears nothing of it", async () => {
  const { peer, begin } = serving({ streamWindowBytes: 65_536 });
  const one = await begin(1);
  const two = await begin(3);
  one.takesAtOnce = false;
  for (let i = 0; i < 4; i++) peer.send(data(1, 16_384));
  peer.send(data(1, 1));
  expect((await peer.next(FrameType.RST_STREAM)).payload).toEqual(uint32(ErrorCode.FLOW_CONTROL_ERROR));
  expect(one.failure?.code).toBe(ErrorCode.FLOW_CONTROL_ERROR);
  peer.send(data(3, "still here", true));
  await peer.settled();
  expect(two.heard.slice(-2)).toEqual(["still here", "END"]);
});

test("the connection's window is given again whatever becomes of the data: of late frames and of padding too", async () => {
  const { peer, begin, connection } = serving({ connectionWindowBytes: 65_536, streamWindowBytes: 2 ** 20 });
  const stream = await begin(1);
  stream.takesAtOnce = false;
  stream.reset(ErrorCode.CANCEL);
  // Nobody takes any of it; without refunds the connection would break after the fourth.
  for (let i = 0; i < 20; i++) peer.send(data(1, 16_384));
  await peer.settled();
  expect(connection.isClosed).toBe(false);
  const given = peer.came
    .filter(({ type, stream }) => type === FrameType.WINDOW_UPDATE && stream === 0)
    .map(({ payload }) => payload.readUInt32BE());
  expect(given.reduce((sum, each) => sum + each, 0)).toBe(1 + 20 * 16_384);
});

test("a window that was widened for a large message is not given twice", async () => {
  const { peer, begin, connection } = serving({ streamWindowBytes: 65_536 });
  const stream = await begin(1);
  stream.takesAtOnce = false;
  connection.widen(stream, 100_000);
  connection.widen(stream, 100_000);
  connection.widen(stream, 50);
  expect([stream.receiveWindow, stream.advancedBytes]).toEqual([100_000, 34_464]);
  for (let left = 100_000; left > 0; left -= 16_384) peer.send(data(1, Math.min(left, 16_384)));
  await peer.settled();
  expect(stream.receiveWindow).toBe(0);
  stream.taken(100_000);
  // All of its own window, and nothing of what was advanced.
  expect([stream.receiveWindow, stream.advancedBytes, stream.takenBytes]).toEqual([65_536, 0, 0]);
  await peer.settled();
  const given = peer.came.filter(({ type, stream }) => type === FrameType.WINDOW_UPDATE && stream === 1);
  expect(given.map(({ payload }) => payload.readUInt32BE())).toEqual([34_464, 65_536]);
});

test("the peer's new initial window is a change to every stream's, below 0 too", async () => {
  const { peer, begin } = serving();
  const stream = await begin(1);
  peer.send(frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(100)));
  peer.send(frame(FrameType.SETTINGS, 0, 0, settings({ 4: 10 })));
  await peer.settled();
  expect(stream.sendWindow).toBe(110);
  stream.send(EMPTY, Buffer.alloc(100), false);
  peer.send(frame(FrameType.SETTINGS, 0, 0, settings({ 4: 0 })));
  await peer.settled();
  expect(stream.sendWindow).toBe(0);
  stream.send(EMPTY, Buffer.alloc(5), false);
  peer.send(frame(FrameType.SETTINGS, 0, 0, settings({ 4: 3 })));
  expect((await peer.next(FrameType.DATA)).payload.length).toBe(100);
  expect((await peer.next(FrameType.DATA)).payload.length).toBe(3);
  peer.send(frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(2)));
  expect((await peer.next(FrameType.DATA)).payload.length).toBe(2);
  expect(stream.drains).toBe(1);
});

test.each([
  [
    "of a stream, by WINDOW_UPDATE, ends the stream",
    [frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(2 ** 31 - 1))],
    0,
  ],
  [
    "of a stream, by SETTINGS, ends the connection",
    [
      frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(2 ** 31 - 65_536)),
      frame(FrameType.SETTINGS, 0, 0, settings({ 4: 65_536 })),
    ],
    1,
  ],
  ["of all streams ends the connection", [frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(2 ** 31 - 1))], 1],
] as const)("a window above 2^31-1 %s", async (_, frames, isWhole) => {
  const { peer, begin } = serving();
  await begin(1);
  peer.send(...frames);
  const { payload } = await peer.next(isWhole ? FrameType.GOAWAY : FrameType.RST_STREAM);
  expect(payload.readUInt32BE(isWhole ? 4 : 0)).toBe(ErrorCode.FLOW_CONTROL_ERROR);
});

test("frames after our reset are nobody's fault; those after the peer's own are its fault", async () => {
  const { peer, begin, connection } = serving();
  const one = await begin(1);
  one.reset(ErrorCode.CANCEL);
  one.reset(ErrorCode.CANCEL);
  peer.send(data(1, "late"), peer.headers(1, ["x-late: 1"], true), reset(1));
  peer.send(frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(1)));
  await peer.settled();
  expect(peer.came.filter(({ type }) => type === FrameType.RST_STREAM)).toHaveLength(1);
  expect(one.heard).toEqual([...REQUEST]);
  const two = await begin(3);
  peer.send(reset(3));
  await peer.settled();
  expect(two.failure).toMatchObject({ code: ErrorCode.CANCEL, delivery: undefined });
  expect(connection.isClosed).toBe(false);
  peer.send(data(3, "more"));
  expect(goawayCode((await peer.next(FrameType.GOAWAY)).payload)).toBe(ErrorCode.STREAM_CLOSED);
});

test("late frames are let pass, however many streams were reset since", async () => {
  const { peer, begin, connection } = serving({ maxConcurrentStreams: 2_000 });
  for (let id = 1; id < 3_001; id += 2) peer.send(peer.headers(id, REQUEST));
  await begin(3_001);
  expect(connection.streams.size).toBe(1_501);
  for (const stream of [...connection.streams.values()]) stream.reset(ErrorCode.CANCEL);
  await begin(3_003);
  for (const stream of [...connection.streams.values()]) stream.reset(ErrorCode.CANCEL);
  peer.send(data(1, "late"), data(3_003, "late"));
  await peer.settled();
  expect(connection.isClosed).toBe(false);
});

test("a peer's frame on a stream that nobody began ends the connection", async () => {
  const { peer, begin } = serving();
  await begin(1);
  peer.send(data(5, "x"));
  expect(goawayCode((await peer.next(FrameType.GOAWAY)).payload)).toBe(ErrorCode.PROTOCOL_ERROR);
});

test("data after its end is a fault of the stream", async () => {
  const { peer, begin } = serving();
  const stream = await begin(1, true);
  peer.send(data(1, "x"));
  expect((await peer.next(FrameType.RST_STREAM)).payload).toEqual(uint32(ErrorCode.STREAM_CLOSED));
  expect(stream.failure?.code).toBe(ErrorCode.STREAM_CLOSED);
});

test.each([
  ["more", [data(1, "abcd")]],
  ["less", [data(1, "ab", true)]],
])("%s data than content-length says is a fault of the stream", async (_, frames) => {
  const { peer, streams } = serving();
  peer.send(peer.headers(1, [...REQUEST, "content-length: 3"]), ...frames);
  expect((await peer.next(FrameType.RST_STREAM)).payload).toEqual(uint32(ErrorCode.PROTOCOL_ERROR));
  expect(streams[0]?.failure?.code).toBe(ErrorCode.PROTOCOL_ERROR);
  expect(streams[0]?.heard.some((text) => text.startsWith("ab"))).toBe(false);
});

test("trailers are heard, and wait behind data that waits", async () => {
  const { peer, begin } = serving();
  const stream = await begin(1);
  peer.send(frame(FrameType.SETTINGS, 0, 0, settings({ 4: 0 })), peer.headers(1, ["x-t: 1"], true));
  await peer.settled();
  expect(stream.heard.slice(-2)).toEqual(["x-t: 1", "END"]);
  stream.sendHeaders([{ name: ":status", value: "200" }], false);
  expect(stream.send(EMPTY, Buffer.from("abc"), false)).toBe(false);
  stream.sendHeaders([{ name: "x-end", value: "1" }], true);
  await peer.settled();
  expect(peer.came.filter(({ type }) => type === FrameType.DATA)).toEqual([]);
  peer.send(frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(3)));
  expect(String((await peer.next(FrameType.DATA)).payload)).toBe("abc");
  await peer.next(FrameType.HEADERS);
  expect((await peer.next(FrameType.HEADERS)).headers).toEqual(["x-end: 1"]);
  expect(stream.isOpen).toBe(false);
});

test("what is held is counted, bounded, and given back with its stream in whatever way that ends", async () => {
  const { peer, begin, connection } = serving({ maxHeldBytes: 100 });
  const ends: ((stream: HeardStream, id: number) => void)[] = [
    (stream) => stream.reset(ErrorCode.CANCEL),
    (_, id) => peer.send(reset(id)),
    (_, id) => peer.send(frame(FrameType.WINDOW_UPDATE, 0, id, uint32(0))),
    (stream, id) => {
      stream.sendHeaders([{ name: ":status", value: "200" }], true);
      peer.send(data(id, "", true));
    },
  ];
  for (const [i, end] of ends.entries()) {
    const stream = await begin(2 * i + 1);
    expect([stream.hold(60), stream.hold(90), stream.hold(101)]).toEqual([true, true, false]);
    expect(connection.heldBytes).toBe(90);
    expect(stream.hold(10)).toBe(true);
    expect(connection.heldBytes).toBe(10);
    end(stream, 2 * i + 1);
    await peer.settled();
    expect([stream.isOpen, connection.heldBytes]).toEqual([false, 0]);
    stream.hold(50);
    expect(connection.heldBytes).toBe(0);
  }
});

test("a peer that does not read what it asked for loses that stream", async () => {
  const { peer, begin, connection } = serving({ maxHeldBytes: 1_000 });
  peer.send(frame(FrameType.SETTINGS, 0, 0, settings({ 4: 0 })));
  const stream = await begin(1);
  expect(stream.send(EMPTY, Buffer.alloc(900), false)).toBe(false);
  expect(stream.send(EMPTY, Buffer.alloc(101), false)).toBe(false);
  expect(stream.failure?.code).toBe(ErrorCode.ENHANCE_YOUR_CALM);
  expect((await peer.next(FrameType.RST_STREAM)).payload).toEqual(uint32(ErrorCode.ENHANCE_YOUR_CALM));
  expect([connection.heldBytes, connection.isClosed]).toEqual([0, false]);
});

test("a guard ends the connection with ENHANCE_YOUR_CALM, and says which", async () => {
  const guards: string[] = [];
  const allowances = { PINGS: { burst: 3, perSecond: 0 } };
  const { peer, connection } = serving({ allowances, onGuard: (guard) => guards.push(guard) });
  for (let i = 0; i < 9; i++) peer.send(frame(FrameType.PING, 0, 0, Buffer.alloc(8)));
  const { payload } = await peer.next(FrameType.GOAWAY);
  expect([goawayCode(payload), payload.toString("latin1", 8)]).toEqual([
    ErrorCode.ENHANCE_YOUR_CALM,
    "ENHANCE_YOUR_CALM: too many pings",
  ]);
  await peer.ended;
  expect(peer.came.filter(({ type }) => type === FrameType.PING)).toHaveLength(3);
  expect([guards, connection.isClosed]).toEqual([["PINGS"], true]);
});

test("faults that make us end streams are counted", async () => {
  const { peer } = serving({ allowances: { FAULTS: { burst: 2, perSecond: 0 } } });
  for (let id = 1; id < 9; id += 2) {
    peer.send(peer.headers(id, REQUEST), frame(FrameType.WINDOW_UPDATE, 0, id, uint32(0)));
  }
  expect(goawayCode((await peer.next(FrameType.GOAWAY)).payload)).toBe(ErrorCode.ENHANCE_YOUR_CALM);
  expect(peer.came.filter(({ type }) => type === FrameType.RST_STREAM)).toHaveLength(3);
});

test.each(["end", "destroy"] as const)(
  "who is gone by %s leaves no stream, no byte and no timer",
  async (how) => {
    const { peer, begin, connection, clock } = serving();
    const closed = Promise.withResolvers<void>();
    let closes = 0;
    connection.onClose = () => {
      closes++;
      closed.resolve();
    };
    peer.send(frame(FrameType.SETTINGS, 0, 0, settings({ 4: 0 })));
    const stream = await begin(1);
    stream.send(EMPTY, Buffer.alloc(10), false);
    stream.hold(20);
    expect(connection.heldBytes).toBe(30);
    peer[how]();
    await closed.promise;
    expect(stream.failure?.delivery).toBe("LOST");
    expect([connection.heldBytes, connection.streams.size, connection.isClosed]).toEqual([0, 0, true]);
    connection.destroy();
    expect(closes).toBe(1);
    await clock.whenSleeping(0);
  },
);

test("a peer that was sent off has a second to read why, and is then cut", async () => {
  const { peer, begin, connection, clock } = serving();
  const stream = await begin(1);
  let isDestroyed = false;
  peer.socket.on("close", () => {
    isDestroyed = true;
  });
  peer.send(frame(FrameType.DATA, 0, 0, EMPTY));
  await peer.next(FrameType.GOAWAY);
  await peer.ended;
  expect([connection.isClosed, stream.failure?.delivery, isDestroyed]).toEqual([true, "LOST", false]);
  await clock.whenSleeping(1);
  clock.advance(1_000);
  await new Promise((resolve) => setImmediate(resolve));
  expect(isDestroyed).toBe(true);
  await clock.whenSleeping(0);
});

test("what was read before the connection began is fed to it", async () => {
  const peer = rawPeer("silent");
  const connection = new ServerConnection(peer.socket, () => new HeardStream());
  connection.feed(
    Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(FrameType.SETTINGS, 0, 0, EMPTY)]),
  );
  await peer.settled();
  expect(connection.isClosed).toBe(false);
  connection.destroy();
});
