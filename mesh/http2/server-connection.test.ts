import { expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { FrameFlag, frame, PREFACE } from "../testing/http2-frames.ts";
import { ErrorCode } from "./error-code.ts";
import { FrameType, MAX_31_BITS } from "./frame.ts";
import { HeardStream, REQUEST } from "./heard-stream.ts";
import { rawPeer, uint32 } from "./raw-peer.ts";
import { ServerConnection, type ServerConnectionOptions } from "./server-connection.ts";

const EMPTY = Buffer.alloc(0);
const STATUS = [{ name: ":status", value: "200" }];
const data = (stream: number, text: string) => frame(FrameType.DATA, 0, stream, Buffer.from(text));
const pong = (payload: Buffer) => frame(FrameType.PING, FrameFlag.ACK, 0, payload);

function serving(options: ServerConnectionOptions = {}, role: "client" | "silent" = "client") {
  const peer = rawPeer(role);
  const clock = manualClock();
  const streams: HeardStream[] = [];
  const cutOffs: string[] = [];
  const accept = () => {
    const stream = new HeardStream();
    streams.push(stream);
    return stream;
  };
  const onGuard = (guard: string) => cutOffs.push(guard);
  const connection = new ServerConnection(peer.socket, accept, { clock, onGuard, ...options });
  const begin = async (id: number) => {
    peer.send(peer.headers(id, REQUEST));
    await peer.settled();
    return streams.at(-1) as HeardStream;
  };
  return { peer, connection, streams, cutOffs, clock, begin };
}

test("the preface may come in parts, and what is none ends the connection", async () => {
  const { peer, connection } = serving({}, "silent");
  for (const octet of PREFACE) peer.send(Buffer.of(octet));
  peer.send(frame(FrameType.SETTINGS, 0, 0, EMPTY));
  await peer.settled();
  expect(connection.isClosed).toBe(false);
  const other = serving({}, "silent");
  other.peer.send(Buffer.from("GET / HTTP/1.1\r\n"));
  expect((await other.peer.next(FrameType.GOAWAY)).payload.readUInt32BE(4)).toBe(ErrorCode.PROTOCOL_ERROR);
});

test("who takes too long over the first bytes is cut off", async () => {
  const { peer, clock, cutOffs } = serving({ headersWithinMs: 500 }, "silent");
  peer.send(PREFACE.subarray(0, 20));
  clock.advance(499);
  expect(cutOffs).toEqual([]);
  clock.advance(1);
  expect(cutOffs).toEqual(["SLOW"]);
  expect((await peer.next(FrameType.GOAWAY)).payload.readUInt32BE(4)).toBe(ErrorCode.ENHANCE_YOUR_CALM);
});

test("who takes too long over headers is cut off, and each block has its own time", async () => {
  const { peer, clock, cutOffs } = serving({ headersWithinMs: 500 });
  const part = (id: number) => frame(FrameType.HEADERS, 0, id, Buffer.of(0x82, 0x86, 0x84));
  const rest = (id: number) => frame(FrameType.CONTINUATION, FrameFlag.END_HEADERS, id, EMPTY);
  // PING may not come within headers, so that the end of the turn has to do.
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  peer.send(part(1));
  await turn();
  clock.advance(400);
  peer.send(rest(1));
  await peer.settled();
  peer.send(part(3));
  await turn();
  clock.advance(400);
  expect(cutOffs).toEqual([]);
  clock.advance(100);
  expect(cutOffs).toEqual(["SLOW"]);
});

test("a stream above the limit is refused, and the next one that fits is not", async () => {
  const { peer, streams, begin } = serving({ maxConcurrentStreams: 1 });
  const first = await begin(1);
  peer.send(peer.headers(3, REQUEST), data(3, "late"));
  expect(await peer.next(FrameType.RST_STREAM)).toMatchObject({ stream: 3, payload: uint32(7) });
  first.reset(ErrorCode.CANCEL);
  await begin(5);
  expect(streams).toHaveLength(2);
});

test.each([
  [
    "of an even number",
    (peer: ReturnType<typeof rawPeer>) => [peer.headers(2, REQUEST)],
    ErrorCode.PROTOCOL_ERROR,
  ],
  [
    "below one that began",
    (peer: ReturnType<typeof rawPeer>) => [peer.headers(5, REQUEST), peer.headers(3, REQUEST)],
    ErrorCode.STREAM_CLOSED,
  ],
])("a stream %s ends the connection", async (_, frames, code) => {
  const { peer } = serving();
  peer.send(...frames(peer));
  expect((await peer.next(FrameType.GOAWAY)).payload.readUInt32BE(4)).toBe(code);
});

test.each([
  ["without a path", [":method: GET", ":scheme: http"], false],
  ["whose body does not come", [...REQUEST, "content-length: 3"], true],
])("a request %s is reset, and nobody is asked to take it", async (_, fields, isEnd) => {
  const { peer, streams, connection } = serving();
  peer.send(peer.headers(1, fields, isEnd));
  expect((await peer.next(FrameType.RST_STREAM)).payload).toEqual(uint32(ErrorCode.PROTOCOL_ERROR));
  expect([streams.length, connection.streams.size]).toEqual([0, 0]);
});

test("headers above the limit are answered with 431, and their connection lives", async () => {
  const { peer, streams, connection } = serving({ maxHeaderListBytes: 300 });
  peer.send(peer.headers(1, [...REQUEST, `x-large: ${"x".repeat(200)}`]));
  expect((await peer.next(FrameType.HEADERS)).headers).toEqual([":status: 431"]);
  expect((await peer.next(FrameType.RST_STREAM)).payload).toEqual(uint32(ErrorCode.NO_ERROR));
  expect([streams.length, connection.streams.size, connection.isClosed]).toEqual([0, 0, false]);
});

test("trailers of a request that end nothing are a fault", async () => {
  const { peer, begin } = serving();
  const stream = await begin(1);
  peer.send(peer.headers(1, ["x: 1"]));
  await peer.next(FrameType.RST_STREAM);
  expect(stream.failure?.code).toBe(ErrorCode.PROTOCOL_ERROR);
});

test("it drains in two steps: what is on its way is taken, then the last stream is named, then all ends", async () => {
  const { peer, connection, begin, streams } = serving();
  const first = await begin(1);
  connection.drain();
  connection.drain();
  const warning = await peer.next(FrameType.GOAWAY);
  expect([warning.payload.readUInt32BE(0), warning.payload.readUInt32BE(4)]).toEqual([MAX_31_BITS, 0]);
  const ping = await peer.next(FrameType.PING);
  const second = await begin(3);
  expect(streams).toHaveLength(2);
  peer.send(pong(ping.payload));
  const last = await peer.next(FrameType.GOAWAY);
  expect([last.payload.readUInt32BE(0), last.payload.readUInt32BE(4)]).toEqual([3, 0]);
  first.sendHeaders(STATUS, true);
  first.reset(ErrorCode.NO_ERROR);
  expect(connection.isClosed).toBe(false);
  second.sendHeaders(STATUS, true);
  second.reset(ErrorCode.NO_ERROR);
  expect(connection.isClosed).toBe(true);
  await peer.ended;
  expect(peer.came.filter(({ type }) => type === FrameType.HEADERS).map(({ stream }) => stream)).toEqual([
    1, 3,
  ]);
  expect(peer.came.filter(({ type }) => type === FrameType.GOAWAY)).toHaveLength(2);
});

test("a stream that is begun after the last GOAWAY is refused with all that comes of it", async () => {
  const { peer, connection, begin, streams } = serving();
  const first = await begin(1);
  connection.drain();
  peer.send(pong((await peer.next(FrameType.PING)).payload));
  await peer.next(FrameType.GOAWAY);
  await peer.next(FrameType.GOAWAY);
  // A whole call, as a client sends it before it has read that.
  peer.send(peer.headers(3, REQUEST), data(3, "question"), frame(FrameType.DATA, 1, 3, EMPTY));
  expect(await peer.next(FrameType.RST_STREAM)).toMatchObject({ stream: 3, payload: uint32(7) });
  await peer.settled();
  expect([streams.length, first.isOpen, connection.isClosed]).toEqual([1, true, false]);
  peer.send(data(5, "x"));
  expect((await peer.next(FrameType.GOAWAY)).payload.readUInt32BE(0)).toBe(1);
});

test("a client that does not answer the ping of a drain is not waited for", async () => {
  const { peer, connection, begin, clock } = serving();
  await begin(1);
  connection.drain();
  await peer.next(FrameType.GOAWAY);
  clock.advance(999);
  await peer.settled();
  expect(peer.came.filter(({ type }) => type === FrameType.GOAWAY)).toHaveLength(1);
  clock.advance(1);
  expect((await peer.next(FrameType.GOAWAY)).payload.readUInt32BE(0)).toBe(1);
  expect(connection.isClosed).toBe(false);
});

test("without streams a drained connection closes when the last GOAWAY has left", async () => {
  const { peer, connection, clock } = serving();
  await peer.settled();
  connection.drain();
  clock.advance(1_000);
  await peer.ended;
  expect(connection.isClosed).toBe(true);
  expect(peer.came.at(-1)).toMatchObject({ type: FrameType.GOAWAY, payload: Buffer.alloc(8) });
});

test("a client that goes away gets its answers, and then the connection is closed", async () => {
  const { peer, connection, begin } = serving();
  const stream = await begin(1);
  peer.send(frame(FrameType.GOAWAY, 0, 0, Buffer.alloc(8)));
  await peer.settled();
  expect(connection.isClosed).toBe(false);
  stream.sendHeaders(STATUS, true);
  stream.reset(ErrorCode.NO_ERROR);
  await peer.ended;
  expect((await peer.next(FrameType.HEADERS)).headers).toEqual([":status: 200"]);
});
