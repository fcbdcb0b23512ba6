import { expect, test } from "vitest";
import { frameReader } from "./frames.ts";

const FRAMING = { headerBytes: 5, lengthAt: 1 };

function frame(text: string): Buffer {
  const bytes = Buffer.alloc(5 + text.length);
  bytes.writeUInt32BE(text.length, 1);
  bytes.write(text, 5);
  return bytes;
}

test("frames come whole and in order, wherever the chunks are cut", () => {
  const texts = ["", "a", "somewhat longer", "", "b".repeat(100)];
  const bytes = Buffer.concat(texts.map(frame));
  for (let chunkBytes = 1; chunkBytes <= bytes.length; chunkBytes++) {
    const came: string[] = [];
    const read = frameReader(FRAMING, (whole) => came.push(whole.subarray(5).toString()));
    for (let at = 0; at < bytes.length; at += chunkBytes) read(bytes.subarray(at, at + chunkBytes));
    expect(came).toEqual(texts);
  }
});
