import { expect, test } from "vitest";
import { FrameType } from "../../mesh/http2/frame.ts";
import { FrameFlag, frame } from "../../mesh/testing/http2-frames.ts";
import { until } from "../../mesh/testing/until.ts";
import { attackedServer } from "./attacked-server.ts";
import { type Attacker, attacker, callHeaders, envelope, settings, statuses, uint32 } from "./attacker.ts";

// What would make the server hold much. What it may take long over is short here: the limits of time are options.
const server = await attackedServer({ progressWithinMs: 500 });
const MIB = 2 ** 20;
const INITIAL_WINDOW_SIZE = 4;
const UNREAD = "ENHANCE_YOUR_CALM: the peer does not read its answers";

/** The octets of a length in HPACK, in 7 bits and more (RFC 7541, section 5.1). */
function length(octets: number): Buffer {
  const rest: number[] = [127];
  let left = octets - 127;
  for (; left >= 128; left = Math.floor(left / 128)) rest.push((left % 128) + 128);
  return Buffer.from([...rest, left]);
}

/** A call's headers with a field of 4,000 octets that goes into the table, and so many references to it. */
function bomb(peer: Attacker, stream: number, references: number): Buffer {
  const literal = callHeaders("Ask").map((field) => ({ ...field, indexing: "never" as const }));
  const head = peer.headers(stream, literal).subarray(9);
  const value = Buffer.alloc(4_000, "a");
  const entry = Buffer.concat([Buffer.from([0x40, 0x01]), Buffer.from("b"), length(4_000), value]);
  const block = Buffer.concat([head, entry, Buffer.alloc(references, 0x80 + 62)]);
  return frame(FrameType.HEADERS, FrameFlag.END_HEADERS | FrameFlag.END_STREAM, stream, block);
}

test("an HPACK bomb: references to a large field, again and again", () =>
  server.survives("HPACK bomb", ["FAULTS"], async () => {
    const peer = await attacker(server.port);
    await peer.flood((turn) => bomb(peer, 2 * turn + 1, 12_000));
    expect(await peer.cutOff()).toBe("ENHANCE_YOUR_CALM: too many faults");
    expect(statuses(peer).slice(0, 3)).toEqual(["431", "431", "431"]);
  }));

test("lists of headers that are too large", () =>
  server.survives("large header lists", ["FAULTS"], async () => {
    const peer = await attacker(server.port);
    const many = Array.from({ length: 250 }, (_, i) => ({
      name: `x-${i}`,
      value: "v".repeat(100),
      indexing: "never" as const,
    }));
    const block = (stream: number) => {
      const [first, second] = split(peer.headers(stream, callHeaders("Ask", many)).subarray(9));
      const continued = frame(FrameType.CONTINUATION, FrameFlag.END_HEADERS, stream, second);
      return Buffer.concat([frame(FrameType.HEADERS, FrameFlag.END_STREAM, stream, first), continued]);
    };
    // As many as are let pass at once, so that the guard is not that of CONTINUATION.
    await peer.send(...Array.from({ length: 90 }, (_, i) => block(2 * i + 1)));
    await until(() => statuses(peer).length === 90);
    expect(new Set(statuses(peer))).toEqual(new Set(["431"]));
    await peer.flood((turn) => bomb(peer, 2 * turn + 1_001, 100));
    expect(await peer.cutOff()).toBe("ENHANCE_YOUR_CALM: too many faults");
  }));

function split(block: Buffer): [Buffer, Buffer] {
  return [block.subarray(0, 16_384), block.subarray(16_384)];
}

const question = (n: number) => {
  // toyId and requestId are empty; n is the third field, a varint.
  const octets = [0x18];
  let left = n;
  for (; left >= 128; left = Math.floor(left / 128)) octets.push((left % 128) + 128);
  return envelope(Buffer.from([...octets, left]));
};

test("large answers on many streams that nobody reads, over a socket that is not read either", () =>
  server.survives("unread socket", ["UNREAD"], async () => {
    const { cutOffs } = await server.figures();
    const wide = settings([INITIAL_WINDOW_SIZE, 2 ** 31 - 1]);
    const peer = await attacker(server.port, { hello: wide, reads: false });
    await peer.send(frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(2 ** 31 - 1 - 65_535)));
    for (let i = 0; i < 200; i++) await peer.send(asks(peer, 2 * i + 1, MIB));
    await until(() => server.figures().then((now) => now.cutOffs.length > cutOffs.length));
    peer.socket.destroy();
  }));

test("a stream that never ends, over a socket that is not read", () =>
  server.survives("unread socket, a stream", ["UNREAD"], async () => {
    const { cutOffs } = await server.figures();
    const wide = settings([INITIAL_WINDOW_SIZE, 2 ** 31 - 1]);
    const peer = await attacker(server.port, { hello: wide, reads: false });
    await peer.send(frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(2 ** 31 - 1 - 65_535)));
    const data = frame(FrameType.DATA, FrameFlag.END_STREAM, 1, question(10_000));
    await peer.send(peer.headers(1, callHeaders("Watch")), data);
    await until(() => server.figures().then((now) => now.cutOffs.length > cutOffs.length));
    peer.socket.destroy();
  }));

function asks(peer: Attacker, stream: number, n: number): Buffer {
  const data = frame(FrameType.DATA, FrameFlag.END_STREAM, stream, question(n));
  return Buffer.concat([peer.headers(stream, callHeaders("Ask")), data]);
}

test("large answers on many streams whose windows stay closed", () =>
  server.survives("closed windows", ["UNREAD"], async () => {
    const peer = await attacker(server.port, { hello: settings([INITIAL_WINDOW_SIZE, 0]) });
    for (let i = 0; i < 200; i++) await peer.send(asks(peer, 2 * i + 1, MIB));
    expect(await peer.cutOff()).toBe(UNREAD);
  }));

test("streams that never end, of large messages, whose windows stay closed: each holds one message", () =>
  server.survives("closed windows, streams", [], async () => {
    const { said } = await server.figures();
    const peer = await attacker(server.port, { hello: settings([INITIAL_WINDOW_SIZE, 0]) });
    const streams = 100;
    for (let i = 0; i < streams; i++) {
      const stream = 2 * i + 1;
      const data = frame(FrameType.DATA, FrameFlag.END_STREAM, stream, question(MIB / 8));
      await peer.send(peer.headers(stream, callHeaders("Watch")), data);
    }
    await until(() => server.figures().then((now) => now.said - said === streams));
    expect((await server.figures()).said - said).toBe(streams);
    peer.socket.destroy();
  }));
