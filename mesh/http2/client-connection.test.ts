import { expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { FrameFlag, frame, PREFACE } from "../testing/http2-frames.ts";
import { ClientConnection, type ClientConnectionOptions } from "./client-connection.ts";
import { ErrorCode } from "./error-code.ts";
import { FrameType, MAX_31_BITS } from "./frame.ts";
import { HeardStream, REQUEST } from "./heard-stream.ts";
import { rawPeer, settings, uint32 } from "./raw-peer.ts";

const goaway = (last: number, code = 0) =>
  frame(FrameType.GOAWAY, 0, 0, Buffer.concat([uint32(last), uint32(code)]));
const goawayCode = (payload: Buffer) => payload.readUInt32BE(4);

/** A client, and a server that says anything. */
function connected(options: ClientConnectionOptions = {}, Connection = ClientConnection) {
  const peer = rawPeer("server");
  const clock = manualClock();
  const connection = new Connection(peer.socket, { clock, ...options });
  const begin = (isRequestEnd = true) => {
    const stream = new HeardStream(isRequestEnd);
    stream.begin(connection);
    return stream;
  };
  return { peer, connection, clock, begin };
}

test("the preface is first, then SETTINGS that refuse pushes", async () => {
  const peer = rawPeer("silent");
  const first = Promise.withResolvers<Buffer>();
  new ClientConnection(peer.socket, { clock: manualClock() });
  const side = peer.socket as { write: unknown };
  const write = peer.socket.write.bind(peer.socket);
  side.write = (octets: Buffer) => {
    first.resolve(Buffer.from(octets));
    return write(octets);
  };
  const octets = await first.promise;
  expect(octets.subarray(0, PREFACE.length)).toEqual(PREFACE);
  expect(octets[PREFACE.length + 3]).toBe(FrameType.SETTINGS);
  expect(octets.includes(settings({ 2: 0 }))).toBe(true);
});

test("streams have odd numbers in their order, and hear their answers", async () => {
  const { peer, begin, connection } = connected();
  const [one, two] = [begin(), begin()];
  expect((await peer.next(FrameType.HEADERS)).stream).toBe(1);
  expect(await peer.next(FrameType.HEADERS)).toMatchObject({ stream: 3, headers: REQUEST, flags: 0x5 });
  peer.send(
    peer.headers(3, [":status: 200"]),
    frame(FrameType.DATA, 0, 3, Buffer.from("abc")),
    peer.headers(3, ["x-end: 1"], true),
    peer.headers(1, [":status: 404"], true),
  );
  await peer.settled();
  expect(two.heard).toEqual([":status: 200", "abc", "x-end: 1", "END"]);
  expect(one.heard).toEqual([":status: 404", "END"]);
  expect([one.isOpen, two.isOpen, connection.streams.size]).toEqual([false, false, 0]);
});

test("interim answers are passed over", async () => {
  const { peer, begin } = connected();
  const stream = begin();
  peer.send(peer.headers(1, [":status: 103", "link: x"]), peer.headers(1, [":status: 200"], true));
  await peer.settled();
  expect(stream.heard).toEqual([":status: 200", "END"]);
});

test.each([
  [
    "an interim answer that ends it",
    (peer: ReturnType<typeof rawPeer>) => peer.headers(1, [":status: 103"], true),
  ],
  ["an answer without a status", (peer: ReturnType<typeof rawPeer>) => peer.headers(1, ["a: b"])],
  ["data before headers", () => frame(FrameType.DATA, 0, 1, Buffer.from("x"))],
])("%s is a fault of the stream", async (_, octets) => {
  const { peer, begin, connection } = connected();
  const stream = begin();
  peer.send(octets(peer));
  expect((await peer.next(FrameType.RST_STREAM)).payload).toEqual(uint32(ErrorCode.PROTOCOL_ERROR));
  expect(stream.failure).toMatchObject({ code: ErrorCode.PROTOCOL_ERROR, delivery: undefined });
  expect(connection.isClosed).toBe(false);
});

test("a fault on a stream that we have not begun ends the connection, for it cannot be reset", async () => {
  const { peer, begin } = connected();
  begin();
  const itself = Buffer.concat([uint32(3), Buffer.of(0)]);
  peer.send(frame(FrameType.PRIORITY, 0, 3, itself));
  expect(goawayCode((await peer.next(FrameType.GOAWAY)).payload)).toBe(ErrorCode.PROTOCOL_ERROR);
  expect(peer.came.filter(({ type }) => type === FrameType.RST_STREAM)).toEqual([]);
});

test("a stream of the server's ends the connection", async () => {
  for (const id of [1, 2]) {
    const { peer } = connected();
    peer.send(peer.headers(id, [":status: 200"]));
    expect(goawayCode((await peer.next(FrameType.GOAWAY)).payload)).toBe(ErrorCode.PROTOCOL_ERROR);
  }
});

test("a hundred streams begin before the server has said how many, and then as many as it says", async () => {
  const { peer, begin, connection } = connected();
  const changes: boolean[] = [];
  connection.onChange = () => changes.push(connection.takesStreams);
  for (let i = 0; i < 100; i++) begin();
  expect([connection.takesStreams, connection.isReady]).toEqual([false, false]);
  peer.send(frame(FrameType.SETTINGS, 0, 0, settings({ 3: 101 })));
  await peer.settled();
  expect([connection.takesStreams, connection.isReady]).toEqual([true, true]);
  const last = begin();
  expect(connection.takesStreams).toBe(false);
  changes.length = 0;
  last.reset(ErrorCode.CANCEL);
  expect(changes).toEqual([true]);
  peer.send(frame(FrameType.SETTINGS, 0, 0, settings({ 3: 0 })));
  await peer.settled();
  expect(connection.takesStreams).toBe(false);
});

test("GOAWAY refuses the streams above the last one it names; those below end, then it closes", async () => {
  const { peer, begin, connection } = connected();
  const streams = [begin(), begin(), begin()];
  let changes = 0;
  connection.onChange = () => changes++;
  peer.send(goaway(MAX_31_BITS));
  await peer.settled();
  expect([connection.takesStreams, streams.every(({ isOpen }) => isOpen)]).toEqual([false, true]);
  peer.send(goaway(3));
  await peer.settled();
  expect(streams.map(({ failure }) => failure?.delivery)).toEqual([undefined, undefined, "REFUSED"]);
  // SETTINGS, and each GOAWAY.
  expect(changes).toBe(3);
  peer.send(peer.headers(1, [":status: 200"], true));
  await peer.settled();
  expect(connection.isClosed).toBe(false);
  peer.send(peer.headers(3, [":status: 200"], true));
  await peer.ended;
  expect(streams.map(({ heard }) => heard.at(-1))).toEqual(["END", "END", expect.stringContaining("failed")]);
  expect(connection.isClosed).toBe(true);
});

test("GOAWAY on a connection without streams closes it, and nobody is hurt", async () => {
  for (const code of [ErrorCode.NO_ERROR, ErrorCode.ENHANCE_YOUR_CALM]) {
    const { peer, connection, clock } = connected();
    peer.send(goaway(0, code));
    await peer.ended;
    expect(connection.isClosed).toBe(true);
    // What lets the server read the end, and no keepalive.
    clock.advance(1_000);
    await clock.whenSleeping(0);
  }
});

test("a connection that breaks loses its streams", async () => {
  const { peer, begin, connection } = connected();
  const stream = begin();
  await peer.next(FrameType.HEADERS);
  connection.onClose = () => stream.heard.push("closed");
  peer.destroy();
  await peer.ended;
  await new Promise((resolve) => setImmediate(resolve));
  expect(stream.failure?.delivery).toBe("LOST");
  expect(stream.heard.at(-1)).toBe("closed");
});

test("what runs when it drains may end, and it takes nothing new", async () => {
  const { peer, begin, connection } = connected();
  const stream = begin();
  connection.drain();
  expect([connection.takesStreams, connection.isClosed]).toEqual([false, false]);
  peer.send(peer.headers(1, [":status: 200"], true));
  await peer.ended;
  expect([stream.failure, connection.isClosed]).toEqual([undefined, true]);
});

test("with the last number it takes no more streams, and closes when that one has ended", async () => {
  class Last extends ClientConnection {
    protected override nextStreamId = MAX_31_BITS - 2;
  }
  const { peer, begin, connection } = connected({}, Last);
  let changes = 0;
  connection.onChange = () => changes++;
  begin();
  expect(connection.takesStreams).toBe(true);
  const last = begin();
  expect([last.id, connection.takesStreams, changes]).toEqual([MAX_31_BITS, false, 1]);
  peer.send(peer.headers(last.id - 2, [":status: 200"], true), peer.headers(last.id, [":status: 200"], true));
  await peer.ended;
  expect(last.heard).toEqual([":status: 200", "END"]);
});

test("a server that says nothing while streams wait is asked, and given up", async () => {
  const { peer, begin, connection, clock } = connected({ keepaliveMs: 1_000, keepaliveTimeoutMs: 200 });
  await peer.settled();
  clock.advance(1_000);
  clock.advance(1_000);
  const stream = begin();
  await peer.next(FrameType.HEADERS);
  expect(peer.came.filter(({ type, flags }) => type === FrameType.PING && flags === 0)).toEqual([]);
  clock.advance(1_000);
  await peer.next(FrameType.PING);
  clock.advance(199);
  expect(connection.isClosed).toBe(false);
  clock.advance(1);
  expect([connection.isClosed, stream.failure?.delivery]).toEqual([true, "LOST"]);
  await clock.whenSleeping(0);
});

test("a server that answers is asked again after the next silence", async () => {
  const { peer, begin, connection, clock } = connected({ keepaliveMs: 1_000, keepaliveTimeoutMs: 200 });
  await peer.settled();
  begin();
  clock.advance(1_000);
  for (let i = 0; i < 3; i++) {
    clock.advance(1_000);
    const { payload } = await peer.next(FrameType.PING);
    peer.send(frame(FrameType.PING, FrameFlag.ACK, 0, payload));
    // Its own PING may not count as another word.
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(200);
  }
  expect(connection.isClosed).toBe(false);
});

test("a template is sent as its fields, with what stands beside it", async () => {
  const { peer, connection } = connected();
  const template = connection.templateOf("a test", [{ name: ":method", value: "POST" }]);
  for (const value of ["1", "2"]) connection.open(new HeardStream(), template, false, [{ name: "x", value }]);
  expect((await peer.next(FrameType.HEADERS)).headers).toEqual([":method: POST", "x: 1"]);
  expect(await peer.next(FrameType.HEADERS)).toMatchObject({ headers: [":method: POST", "x: 2"], flags: 4 });
  connection.destroy();
});
