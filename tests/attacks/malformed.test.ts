import { expect, test } from "vitest";
import { ErrorCode } from "../../mesh/http2/error-code.ts";
import { FrameType } from "../../mesh/http2/frame.ts";
import type { HeaderField } from "../../mesh/http2/hpack/header-field.ts";
import { FrameFlag, frame } from "../../mesh/testing/http2-frames.ts";
import { until } from "../../mesh/testing/until.ts";
import { attackedServer } from "./attacked-server.ts";
import { attacker, callHeaders, envelope } from "./attacker.ts";

const server = await attackedServer();
const EMPTY = Buffer.alloc(0);

/** A literal field as it is, whatever it says (RFC 7541, section 6.2.2). */
const literal = (name: string, value: string) =>
  Buffer.concat([
    Buffer.of(0x00, name.length),
    Buffer.from(name, "latin1"),
    Buffer.of(value.length),
    Buffer.from(value, "latin1"),
  ]);

const asked = (more: readonly HeaderField[] = []) =>
  callHeaders("Ask", more).map((field) => literal(field.name, field.value));

/** Blocks of headers that no server may act on (RFC 9113, section 8.2). */
const MALFORMED: readonly (readonly [string, Buffer])[] = [
  ["a name of no octets", Buffer.concat([...asked(), literal("", "x")])],
  ["a name in upper case", Buffer.concat([...asked(), literal("X-Upper", "x")])],
  ["a name with a space", Buffer.concat([...asked(), literal("x y", "x")])],
  ["CR and LF in a value", Buffer.concat([...asked(), literal("x", "a\r\nhost: evil")])],
  ["NUL in a value", Buffer.concat([...asked(), literal("x", "a\0b")])],
  ["LF in :path", Buffer.concat([literal(":path", "/a\n/b"), ...asked().filter((_, i) => i !== 2)])],
  ["two paths", Buffer.concat([literal(":path", "/evil"), ...asked()])],
  [":path below the headers", Buffer.concat([...asked(), literal(":path", "/evil")])],
  ["transfer-encoding", Buffer.concat([...asked(), literal("transfer-encoding", "chunked")])],
  ["connection", Buffer.concat([...asked(), literal("connection", "x-secret")])],
  [
    "two lengths",
    Buffer.concat([...asked(), literal("content-length", "5"), literal("content-length", "6")]),
  ],
  ["a length that is no number", Buffer.concat([...asked(), literal("content-length", "5, 5")])],
  ["a length below zero", Buffer.concat([...asked(), literal("content-length", "-1")])],
];

test.each(MALFORMED)(
  "a request with %s ends its stream with PROTOCOL_ERROR, and again and again the connection",
  (name, block) =>
    server.survives(name, ["FAULTS"], async () => {
      const peer = await attacker(server.port);
      await peer.send(frame(FrameType.HEADERS, FrameFlag.END_HEADERS, 1, block));
      const reset = await until(() => peer.frames.find(({ type }) => type === FrameType.RST_STREAM));
      expect([reset.stream, reset.payload.readUInt32BE()]).toEqual([1, ErrorCode.PROTOCOL_ERROR]);
      await peer.flood((turn) => frame(FrameType.HEADERS, FrameFlag.END_HEADERS, 2 * turn + 3, block));
      expect(await peer.cutOff()).toBe("ENHANCE_YOUR_CALM: too many faults");
      // Nothing of them came to a handler: there is no answer.
      expect(peer.frames.filter(({ type }) => type === FrameType.HEADERS)).toEqual([]);
    }),
);

const data = (flags: number, octets: Buffer) => frame(FrameType.DATA, flags, 1, octets);
const END = FrameFlag.END_STREAM;
const SMUGGLED = envelope(Buffer.from([0x18, 0x01]));

/** Bodies that are not as long as content-length says, by which one request could hide another (RFC 9113, section 8.1.1). */
const MISMATCHES: readonly (readonly [string, string, number, readonly Buffer[]])[] = [
  ["longer", "3", 0, [data(END, SMUGGLED)]],
  ["longer, in a frame of its own", "7", 0, [data(0, SMUGGLED), data(END, SMUGGLED)]],
  ["shorter", "8", 0, [data(END, SMUGGLED)]],
  ["shorter, and none at all", "8", END, []],
  ["shorter, before trailers", "8", 0, [data(0, SMUGGLED), frame(FrameType.HEADERS, END | 4, 1, EMPTY)]],
];

test.each(MISMATCHES)("a body that is %s than content-length says", (name, length, flags, frames) =>
  server.survives(`a body that is ${name}`, [], async () => {
    const peer = await attacker(server.port);
    const fields = callHeaders("Ask", [{ name: "content-length", value: length }]);
    await peer.send(peer.headers(1, fields, FrameFlag.END_HEADERS | flags), ...frames);
    const reset = await until(() => peer.frames.find(({ type }) => type === FrameType.RST_STREAM));
    expect([reset.stream, reset.payload.readUInt32BE()]).toEqual([1, ErrorCode.PROTOCOL_ERROR]);
    expect(peer.frames.filter(({ type }) => type === FrameType.HEADERS)).toEqual([]);
    peer.socket.destroy();
  }),
);

/** What spoils the connection at once (RFC 9113, section 5.4.1). */
const FATAL: readonly (readonly [string, Buffer, string])[] = [
  ["no HPACK", frame(FrameType.HEADERS, 4, 1, Buffer.from("ffffffffffff", "hex")), "COMPRESSION_ERROR"],
  ["a frame above 16 KiB", frame(FrameType.DATA, 0, 1, Buffer.alloc(16_385)), "FRAME_SIZE_ERROR"],
  ["DATA on a stream that nobody began", frame(FrameType.DATA, 0, 1, EMPTY), "PROTOCOL_ERROR"],
  ["a stream of an even number", frame(FrameType.HEADERS, 4, 2, Buffer.concat(asked())), "PROTOCOL_ERROR"],
  ["PUSH_PROMISE", frame(5, 4, 1, Buffer.alloc(4)), "PROTOCOL_ERROR"],
  [
    "an interrupted block of headers",
    Buffer.concat([frame(FrameType.HEADERS, 0, 1, EMPTY), frame(FrameType.PING, 0, 0, Buffer.alloc(8))]),
    "PROTOCOL_ERROR",
  ],
];

test.each(FATAL)("%s ends the connection", (name, octets, code) =>
  server.survives(name, ["PROTOCOL"], async () => {
    const peer = await attacker(server.port);
    await peer.send(octets);
    expect(await peer.cutOff()).toMatch(new RegExp(`^${code}: `));
  }),
);
