import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { framesIn, headerBlocksIn } from "../testing/http2-frames.ts";
import { HpackDecoder } from "./hpack/decoder.ts";
import { OutgoingFrames } from "./outgoing-frames.ts";
import { initialSettings } from "./settings.ts";
import { Unsent } from "./unsent.ts";

function writing() {
  const socket = new PassThrough({ highWaterMark: 2 ** 20 });
  const peer = initialSettings();
  const frames = new OutgoingFrames(socket, peer);
  const written = () => {
    frames.flush();
    return framesIn((socket.read() as Buffer | null) ?? Buffer.alloc(0)).frames;
  };
  return { frames, peer, written };
}

test("each frame is as the RFC has it", () => {
  const { frames, written } = writing();
  frames.data(1, Buffer.from("ab"), Buffer.from("cd"), true);
  frames.reset(3, 8);
  frames.windowUpdate(0, 2 ** 31 - 1);
  frames.ping(7);
  frames.goaway(5, 11, "why");
  expect(
    written().map(({ type, flags, stream, payload }) => [type, flags, stream, payload.toString("hex")]),
  ).toEqual([
    [0, 1, 1, "61626364"],
    [3, 0, 3, "00000008"],
    [8, 0, 0, "7fffffff"],
    [6, 0, 0, "0000000000000007"],
    [7, 0, 0, `000000050000000b${Buffer.from("why").toString("hex")}`],
  ]);
});

test("what a stream says in one turn is one frame, unless something else is said in between or it is too large", () => {
  const { frames, written } = writing();
  const say = (stream: number, bytes: number, isEnd = false) =>
    frames.data(stream, Buffer.alloc(5, stream), Buffer.alloc(bytes - 5, stream), isEnd);
  say(1, 10);
  say(1, 20);
  say(3, 10);
  say(1, 30);
  frames.windowUpdate(1, 1);
  say(1, 40);
  say(1, 16_340);
  say(1, 10);
  say(1, 6, true);
  const seen = written();
  expect(seen.map(({ type, flags, stream, payload }) => [type, flags, stream, payload.length])).toEqual([
    [0, 0, 1, 30],
    [0, 0, 3, 10],
    [0, 0, 1, 30],
    [8, 0, 1, 4],
    [0, 0, 1, 16_380],
    [0, 1, 1, 16],
  ]);
  for (const { type, stream, payload } of seen)
    if (type === 0) expect(payload.every((byte) => byte === stream)).toBe(true);
});

test("what has been given to the socket takes no more, also when the next ends at the same place", () => {
  const { frames, written } = writing();
  frames.data(1, Buffer.from("ab"), Buffer.from("cd"), false);
  expect(written().map(({ payload }) => String(payload))).toEqual(["abcd"]);
  // As long as that frame was.
  frames.reset(3, 8);
  frames.data(1, Buffer.from("ef"), Buffer.from("gh"), false);
  expect(written().map(({ type, stream, payload }) => [type, stream, payload.length])).toEqual([
    [3, 3, 4],
    [0, 1, 4],
  ]);
});

test("headers that are more than a frame go on in CONTINUATION, with END_STREAM on the first", () => {
  const { frames, written } = writing();
  const fields = [{ name: "x-long", value: "v".repeat(40_000) }];
  frames.headers(1, fields, true);
  const all = written();
  expect(all.map(({ type, flags, payload }) => [type, flags, payload.length > 16_384])).toEqual([
    [1, 0x1, false],
    [9, 0, false],
    [9, 0x4, false],
  ]);
  const [block = Buffer.alloc(0)] = headerBlocksIn(all);
  expect(new HpackDecoder({ maxListBytes: 2 ** 16 }).decode(block, 0, block.length)).toEqual(fields);
});

test("a template and what stands beside it are one block", () => {
  const { frames, written } = writing();
  const template = frames.template([{ name: "a", value: "1" }]);
  const decoder = new HpackDecoder();
  for (const value of ["2", "3", "4"]) {
    frames.headers(1, template, false, [{ name: "b", value }]);
    const [block = Buffer.alloc(0)] = headerBlocksIn(written());
    expect(decoder.decode(block, 0, block.length)).toEqual([
      { name: "a", value: "1" },
      { name: "b", value },
    ]);
  }
});

test("a peer without a table is sent what needs none", () => {
  const { frames, peer, written } = writing();
  peer.headerTableBytes = 0;
  frames.settingsChanged();
  const decoder = new HpackDecoder({ maxTableBytes: 0 });
  for (let i = 0; i < 3; i++) {
    frames.headers(1, [{ name: "a", value: "1" }], false);
    const [block = Buffer.alloc(0)] = headerBlocksIn(written());
    expect(decoder.decode(block, 0, block.length)).toEqual([{ name: "a", value: "1" }]);
    expect(decoder.table().bytes).toBe(0);
    decoder.settingsAcknowledged();
  }
});

test("what waits is moved, not written twice", () => {
  const { frames, written } = writing();
  const unsent = new Unsent();
  unsent.push(Buffer.from("abcdef"));
  frames.unsentData(1, unsent, 4, false);
  frames.unsentData(1, unsent, 2, true);
  expect(written().map(({ flags, payload }) => [flags, String(payload)])).toEqual([
    [0, "abcd"],
    [1, "ef"],
  ]);
});
