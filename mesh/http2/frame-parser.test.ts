import { expect, test } from "vitest";
import { FrameFlag, frame } from "../testing/http2-frames.ts";
import { FrameType } from "./frame.ts";
import { type FrameEvents, FrameParser } from "./frame-parser.ts";
import { FrameReader } from "./frame-reader.ts";
import type { HeaderField } from "./hpack/header-field.ts";
import { settings, uint32 } from "./raw-peer.ts";

const EMPTY = Buffer.alloc(0);
const SETTINGS = frame(FrameType.SETTINGS, 0, 0, EMPTY);
// ":method: GET" of the static table.
const BLOCK = Buffer.of(0x82);

/** What a parser tells of frames; streams above 100 are idle. */
function parsing({ hasBegun = true, maxHeaderListBytes = 1_000 } = {}) {
  const told: unknown[] = [];
  const guards: string[] = [];
  const events: FrameEvents = {
    onData: (stream, chunk, start, end, bytes, isEnd) =>
      told.push(["data", stream, chunk.toString("latin1", start, end), bytes, isEnd]),
    onHeaders: (stream, fields: readonly HeaderField[], isEnd, isTooLarge) =>
      told.push(["headers", stream, fields.map(({ name, value }) => `${name}: ${value}`), isEnd, isTooLarge]),
    onHeadersBegun: () => told.push(["begun"]),
    onReset: (stream, code) => told.push(["reset", stream, code]),
    onSettings: (chunk, start, end) => told.push(["settings", chunk.toString("hex", start, end)]),
    onSettingsAck: () => told.push(["settings ack"]),
    onPing: (payload) => told.push(["ping", String(payload)]),
    onPong: (payload) => told.push(["pong", payload]),
    onGoaway: (last, code) => told.push(["goaway", last, code]),
    onStreamWindow: (stream, bytes) => told.push(["window", stream, bytes]),
    onConnectionWindow: (bytes) => told.push(["window", 0, bytes]),
    onStreamFault: (stream, code) => told.push(["fault", stream, code]),
    isIdle: (stream) => stream > 100,
    guard: (guard) => guards.push(guard),
  };
  const parser = new FrameParser(events, maxHeaderListBytes);
  const reader = new FrameReader(parser, 16_384);
  const read = (...frames: readonly Buffer[]) => {
    const before = told.length;
    reader.push(Buffer.concat(frames));
    return told.slice(before);
  };
  if (hasBegun) read(SETTINGS);
  return { parser, read, guards };
}

test("each frame is told as what it says", () => {
  const { read } = parsing();
  expect(
    read(
      frame(FrameType.DATA, FrameFlag.END_STREAM, 1, Buffer.from("abc")),
      frame(FrameType.HEADERS, FrameFlag.END_HEADERS, 3, BLOCK),
      frame(FrameType.RST_STREAM, 0, 1, uint32(8)),
      frame(FrameType.SETTINGS, 0, 0, settings({ 4: 1 })),
      frame(FrameType.SETTINGS, FrameFlag.ACK, 0, EMPTY),
      frame(FrameType.PING, 0, 0, Buffer.from("12345678")),
      frame(FrameType.PING, FrameFlag.ACK, 0, Buffer.concat([uint32(1), uint32(2)])),
      frame(FrameType.GOAWAY, 0, 0, Buffer.concat([uint32(0x80000005), uint32(11), Buffer.from("why")])),
      frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(0x80000007)),
      frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(9)),
      frame(0x42, 0xff, 0, Buffer.from("whatever")),
    ),
  ).toEqual([
    ["data", 1, "abc", 3, true],
    ["headers", 3, [":method: GET"], false, false],
    ["reset", 1, 8],
    ["settings", "000400000001"],
    ["settings ack"],
    ["ping", "12345678"],
    ["pong", 2],
    ["goaway", 5, 11],
    ["window", 1, 7],
    ["window", 0, 9],
  ]);
});

test("padding is taken off, and counts against windows", () => {
  const { read } = parsing();
  const padded = Buffer.concat([Buffer.of(4), Buffer.from("abc"), Buffer.alloc(4)]);
  expect(read(frame(FrameType.DATA, FrameFlag.PADDED, 1, padded))).toEqual([["data", 1, "abc", 8, false]]);
  const head = Buffer.concat([Buffer.of(2), uint32(7), Buffer.of(255), BLOCK, Buffer.alloc(2)]);
  const flags = FrameFlag.PADDED | FrameFlag.PRIORITY | FrameFlag.END_HEADERS | FrameFlag.END_STREAM;
  expect(read(frame(FrameType.HEADERS, flags, 1, head))).toEqual([
    ["headers", 1, [":method: GET"], true, false],
  ]);
});

test("a block of headers comes in as many frames as it likes", () => {
  const { read, parser } = parsing();
  expect(read(frame(FrameType.HEADERS, FrameFlag.END_STREAM, 1, BLOCK))).toEqual([["begun"]]);
  expect(parser.isWithinHeaders).toBe(true);
  expect(read(frame(FrameType.CONTINUATION, 0, 1, EMPTY))).toEqual([]);
  expect(read(frame(FrameType.CONTINUATION, FrameFlag.END_HEADERS, 1, BLOCK))).toEqual([
    ["headers", 1, [":method: GET", ":method: GET"], true, false],
  ]);
  expect(parser.isWithinHeaders).toBe(false);
});

test("a list above the limit is told as too large, with what fits", () => {
  const { read } = parsing({ maxHeaderListBytes: 50 });
  const block = Buffer.concat([BLOCK, BLOCK]);
  expect(read(frame(FrameType.HEADERS, FrameFlag.END_HEADERS, 1, block))).toEqual([
    ["headers", 1, [":method: GET"], false, true],
  ]);
});

test("what costs and says little is counted", () => {
  const { read, guards } = parsing();
  guards.length = 0;
  read(
    frame(FrameType.DATA, 0, 1, EMPTY),
    frame(FrameType.DATA, FrameFlag.PADDED, 1, Buffer.alloc(5, 4)),
    frame(FrameType.DATA, FrameFlag.END_STREAM, 1, EMPTY),
    frame(FrameType.HEADERS, 0, 1, BLOCK),
    frame(FrameType.CONTINUATION, FrameFlag.END_HEADERS, 1, EMPTY),
    frame(FrameType.PRIORITY, 0, 1, Buffer.concat([uint32(3), Buffer.of(0)])),
    frame(FrameType.RST_STREAM, 0, 1, uint32(8)),
    frame(FrameType.SETTINGS, 0, 0, EMPTY),
    frame(FrameType.PING, 0, 0, Buffer.alloc(8)),
    frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(1)),
    frame(0x42, 0, 0, EMPTY),
  );
  expect(guards).toEqual([
    "EMPTY_DATA",
    "EMPTY_DATA",
    "CONTINUATIONS",
    "CONTINUATIONS",
    "OTHER_FRAMES",
    "RESETS",
    "SETTINGS",
    "PINGS",
    "OTHER_FRAMES",
    "OTHER_FRAMES",
  ]);
});

test.each<[string, Buffer, string]>([
  ["DATA on no stream", frame(FrameType.DATA, 0, 0, EMPTY), "PROTOCOL_ERROR"],
  ["HEADERS on no stream", frame(FrameType.HEADERS, 4, 0, BLOCK), "PROTOCOL_ERROR"],
  ["more padding than data", frame(FrameType.DATA, 8, 1, Buffer.of(1)), "PROTOCOL_ERROR"],
  ["padding without its length", frame(FrameType.DATA, 8, 1, EMPTY), "FRAME_SIZE_ERROR"],
  ["HEADERS too short for their priority", frame(FrameType.HEADERS, 0x24, 1, BLOCK), "FRAME_SIZE_ERROR"],
  ["a block that is no HPACK", frame(FrameType.HEADERS, 4, 1, Buffer.of(0x80)), "COMPRESSION_ERROR"],
  ["PRIORITY on no stream", frame(FrameType.PRIORITY, 0, 0, Buffer.alloc(5)), "PROTOCOL_ERROR"],
  ["RST_STREAM on no stream", frame(FrameType.RST_STREAM, 0, 0, uint32(1)), "PROTOCOL_ERROR"],
  ["RST_STREAM of 3 octets", frame(FrameType.RST_STREAM, 0, 1, Buffer.alloc(3)), "FRAME_SIZE_ERROR"],
  ["RST_STREAM on an idle stream", frame(FrameType.RST_STREAM, 0, 101, uint32(1)), "PROTOCOL_ERROR"],
  ["SETTINGS on a stream", frame(FrameType.SETTINGS, 0, 1, EMPTY), "PROTOCOL_ERROR"],
  [
    "SETTINGS that say and acknowledge",
    frame(FrameType.SETTINGS, 1, 0, settings({ 4: 1 })),
    "FRAME_SIZE_ERROR",
  ],
  ["PUSH_PROMISE", frame(FrameType.PUSH_PROMISE, 4, 1, Buffer.alloc(5)), "PROTOCOL_ERROR"],
  ["PING on a stream", frame(FrameType.PING, 0, 1, Buffer.alloc(8)), "PROTOCOL_ERROR"],
  ["PING of 7 octets", frame(FrameType.PING, 0, 0, Buffer.alloc(7)), "FRAME_SIZE_ERROR"],
  ["GOAWAY on a stream", frame(FrameType.GOAWAY, 0, 1, Buffer.alloc(8)), "PROTOCOL_ERROR"],
  ["GOAWAY of 7 octets", frame(FrameType.GOAWAY, 0, 0, Buffer.alloc(7)), "FRAME_SIZE_ERROR"],
  ["WINDOW_UPDATE of 5 octets", frame(FrameType.WINDOW_UPDATE, 0, 1, Buffer.alloc(5)), "FRAME_SIZE_ERROR"],
  ["WINDOW_UPDATE of 0 for all", frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(0)), "PROTOCOL_ERROR"],
  ["WINDOW_UPDATE on an idle stream", frame(FrameType.WINDOW_UPDATE, 0, 101, uint32(1)), "PROTOCOL_ERROR"],
  ["CONTINUATION of nothing", frame(FrameType.CONTINUATION, 4, 1, BLOCK), "PROTOCOL_ERROR"],
])("%s ends the connection", (_, octets, name) => {
  const { read } = parsing();
  expect(() => read(octets)).toThrow(new RegExp(`^${name}`));
});

test.each<[string, Buffer]>([
  ["another frame", frame(FrameType.PING, 0, 0, Buffer.alloc(8))],
  ["a frame that nobody knows", frame(0x42, 0, 0, EMPTY)],
  ["CONTINUATION of another stream", frame(FrameType.CONTINUATION, 4, 3, EMPTY)],
])("%s within a block of headers ends the connection", (_, octets) => {
  const { read } = parsing();
  read(frame(FrameType.HEADERS, 0, 1, BLOCK));
  expect(() => read(octets)).toThrow("PROTOCOL_ERROR: a block of headers was interrupted");
});

test("the first frame is SETTINGS, and no acknowledgement", () => {
  for (const octets of [
    frame(FrameType.PING, 0, 0, Buffer.alloc(8)),
    frame(FrameType.SETTINGS, 1, 0, EMPTY),
  ]) {
    const { read } = parsing({ hasBegun: false });
    expect(() => read(octets)).toThrow("PROTOCOL_ERROR: the first frame is not SETTINGS");
  }
});

test("some faults are their stream's only", () => {
  const { read } = parsing();
  const self = Buffer.concat([uint32(5), Buffer.of(0)]);
  expect(
    read(
      frame(FrameType.WINDOW_UPDATE, 0, 5, uint32(0)),
      frame(FrameType.PRIORITY, 0, 5, self),
      frame(FrameType.PRIORITY, 0, 5, Buffer.alloc(4)),
      frame(FrameType.HEADERS, 0x24, 5, Buffer.concat([self, BLOCK])),
    ),
  ).toEqual([
    ["fault", 5, 1],
    ["fault", 5, 1],
    ["fault", 5, 6],
    ["fault", 5, 1],
  ]);
});

test("after it is closed nothing more is told", () => {
  const { parser, read } = parsing();
  parser.isClosed = true;
  const ping = frame(FrameType.PING, 0, 0, Buffer.alloc(8));
  expect(read(ping, ping)).toHaveLength(1);
});
