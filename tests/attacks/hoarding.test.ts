import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { FrameType } from "../../mesh/http2/frame.ts";
import { FrameFlag, frame } from "../../mesh/testing/http2-frames.ts";
import { until } from "../../mesh/testing/until.ts";
import { attackedServer } from "./attacked-server.ts";
import { type Attacker, attacker, callHeaders, envelope, settings, statuses, uint32 } from "./attacker.ts";

// What would make the server hold much. What it may take long over is short here: the limits of time are options.
const server = await attackedServer({ progressWithinMs: 500 });
const EMPTY = Buffer.alloc(0);
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

test("messages of which all but the last octet come, on 1,000 streams", () =>
  server.survives("messages in part", [], async () => {
    const peer = await attacker(server.port);
    const part = Buffer.alloc(16_384);
    const whole = 4 * MIB;
    for (let i = 0; i < 1_000; i++) {
      const stream = 2 * i + 1;
      await peer.send(
        peer.headers(stream, callHeaders("Ask")),
        frame(FrameType.DATA, 0, stream, envelope(EMPTY, whole)),
      );
    }
    // As much as 20 of them, a part of each in turn; the server says for which it is too much.
    for (let sent = 0; sent < 80 * MIB; sent += 1_000 * part.length) {
      for (let i = 0; i < 1_000 && !peer.isOver; i++)
        await peer.send(frame(FrameType.DATA, 0, 2 * i + 1, part));
      await new Promise(setImmediate);
    }
    await until(() => server.figures().then(({ state }) => state.connections === 2));
    const answered = peer.frames.filter(({ type }) => type === FrameType.HEADERS);
    expect(answered.length).toBeGreaterThan(0);
    peer.socket.destroy();
  }));

test("messages that are left in part leave nothing behind: the connection has all that it may have for the next", () =>
  server.survives("messages left in part", [], async () => {
    const peer = await attacker(server.port);
    const octets = envelope(Buffer.alloc(MIB));
    const frames = (stream: number, until: number) => {
      const parts: Buffer[] = [];
      for (let at = 0; at < until; at += 16_384) {
        parts.push(frame(FrameType.DATA, 0, stream, octets.subarray(at, Math.min(at + 16_384, until))));
      }
      return parts;
    };
    for (let i = 0; i < 100; i++) {
      const stream = 2 * i + 1;
      await peer.send(
        peer.headers(stream, callHeaders(i % 2 ? "Ask" : "Ignore")),
        ...frames(stream, 900_000),
      );
      await peer.send(frame(FrameType.RST_STREAM, 0, stream, uint32(8)));
      await new Promise(setImmediate);
    }
    const last = frame(FrameType.DATA, FrameFlag.END_STREAM, 1_001, EMPTY);
    await peer.send(peer.headers(1_001, callHeaders("Ask")), ...frames(1_001, octets.length), last);
    // It is no message of the contract, but it has come whole.
    await until(() => statuses(peer, "grpc-status").length === 1);
    expect(statuses(peer, "grpc-status")).not.toEqual(["8"]);
    peer.socket.destroy();
  }));

test("messages that are announced with 4 GiB", () =>
  server.survives("announced 4 GiB", [], async () => {
    const peer = await attacker(server.port);
    for (let i = 0; i < 500; i++) {
      const data = frame(FrameType.DATA, 0, 2 * i + 1, envelope(EMPTY, 2 ** 32 - 1));
      await peer.send(peer.headers(2 * i + 1, callHeaders(i % 2 ? "Ask" : "Ignore")), data);
    }
    await until(() => peer.frames.filter(({ type }) => type === FrameType.HEADERS).length === 500);
    expect(new Set(statuses(peer, "grpc-status"))).toEqual(new Set(["8"]));
    peer.socket.destroy();
  }));

test("gzip bombs", () =>
  server.survives("gzip bombs", [], async () => {
    const peer = await attacker(server.port);
    const small = gzipSync(Buffer.alloc(64 * MIB));
    const gzip = callHeaders("Ask", [{ name: "grpc-encoding", value: "gzip" }]);
    for (let i = 0; i < 50; i++) {
      const octets = envelope(small, small.length, 1);
      const frames = Array.from({ length: Math.ceil(octets.length / 16_384) }, (_, part) => {
        const payload = octets.subarray(part * 16_384, (part + 1) * 16_384);
        return frame(
          FrameType.DATA,
          part * 16_384 + payload.length === octets.length ? 1 : 0,
          2 * i + 1,
          payload,
        );
      });
      await peer.send(peer.headers(2 * i + 1, gzip), ...frames);
    }
    await until(() => statuses(peer, "grpc-status").length === 50);
    expect(new Set(statuses(peer, "grpc-status"))).toEqual(new Set(["8"]));
    peer.socket.destroy();
  }));

test("messages of no octets, as many as windows allow, for handlers that read nothing", () =>
  server.survives("messages of no octets", [], async () => {
    const peer = await attacker(server.port);
    const many = frame(FrameType.DATA, 0, 1, Buffer.alloc(16_384 - (16_384 % 5)));
    const streams = 100;
    for (let i = 0; i < streams; i++) {
      await peer.send(peer.headers(2 * i + 1, callHeaders("Ignore")));
      many.writeUInt32BE(2 * i + 1, 5);
      for (let sent = many.length; sent < 262_144; sent += many.length) await peer.send(many);
      await new Promise(setImmediate);
    }
    await until(() => server.figures().then(({ state }) => state.streams >= streams));
    peer.socket.destroy();
  }));
