import { expect, test } from "vitest";
import { frame } from "../testing/http2-frames.ts";
import { random } from "../testing/random.ts";
import { FrameReader } from "./frame-reader.ts";

const MAX = 100;

function reading(wants: (count: number) => boolean = () => true) {
  const frames: { type: number; flags: number; stream: number; text: string; chunk: Buffer }[] = [];
  const reader = new FrameReader(
    {
      onFrame(type, flags, stream, chunk, start, end) {
        frames.push({ type, flags, stream, text: chunk.toString("latin1", start, end), chunk });
        return wants(frames.length);
      },
    },
    MAX,
  );
  return { reader, frames, texts: () => frames.map(({ text }) => text) };
}

const data = (text: string, stream = 1) => frame(0, 0, stream, Buffer.from(text));

test("frames in one chunk are not copied", () => {
  const { reader, frames } = reading();
  const chunk = Buffer.concat([frame(6, 1, 0, Buffer.from("12345678")), data(""), data("abc", 7)]);
  expect(reader.push(chunk)).toBe(true);
  expect(frames.map(({ chunk: _, ...rest }) => rest)).toEqual([
    { type: 6, flags: 1, stream: 0, text: "12345678" },
    { type: 0, flags: 0, stream: 1, text: "" },
    { type: 0, flags: 0, stream: 7, text: "abc" },
  ]);
  expect(frames.every((each) => each.chunk === chunk)).toBe(true);
  expect(reader.heldFrame).toBeUndefined();
});

test("the highest bit of a stream's number is nobody's", () => {
  const { reader, frames } = reading();
  const octets = data("a", 5);
  octets[5] = 0x80;
  reader.push(octets);
  expect(frames[0]?.stream).toBe(5);
});

test("wherever the octets are cut, the frames are the same", () => {
  const octets = Buffer.concat([data("abc"), data(""), data("x".repeat(MAX), 3), data("d")]);
  const chance = random(9113);
  for (let run = 0; run < 300; run++) {
    const { reader, texts } = reading();
    for (let at = 0; at < octets.length; ) {
      const size = 1 + chance.below(chance.pick([1, 12, 130]));
      reader.push(Buffer.from(octets.subarray(at, at + size)));
      at += size;
    }
    expect(texts()).toEqual(["abc", "", "x".repeat(MAX), "d"]);
    expect(reader.heldFrame).toBeUndefined();
  }
});

test("a frame that spans chunks is in memory of its own", () => {
  const { reader, frames } = reading();
  const octets = data("abcdef");
  const first = Buffer.from(octets.subarray(0, 11));
  const second = Buffer.from(octets.subarray(11));
  reader.push(first);
  expect(reader.heldFrame).toBeDefined();
  reader.push(second);
  first.fill(0);
  second.fill(0);
  expect(frames[0]?.chunk.toString("latin1", 9)).toBe("abcdef");
});

test.each([
  ["whole", 9 + MAX + 1],
  ["by its length alone", 9],
  ["by a length in two parts", 2],
])("a frame above what was agreed is refused %s", (_, cut) => {
  const { reader, frames } = reading();
  const octets = data("x".repeat(MAX + 1));
  expect(() => {
    reader.push(octets.subarray(0, cut));
    reader.push(octets.subarray(cut));
  }).toThrow("FRAME_SIZE_ERROR: a frame of 101 bytes, where 100 are allowed");
  expect(frames).toEqual([]);
});

test("nothing is read after the frame that its reader wanted to be the last", () => {
  const { reader, texts } = reading((count) => count < 2);
  expect(reader.push(Buffer.concat([data("a"), data("b"), data("c")]))).toBe(false);
  expect(texts()).toEqual(["a", "b"]);
  const cut = reading(() => false);
  cut.reader.push(data("a").subarray(0, 4));
  expect(cut.reader.push(Buffer.concat([data("a").subarray(4), data("b")]))).toBe(false);
  expect(cut.texts()).toEqual(["a"]);
});
