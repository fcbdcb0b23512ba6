import { expect, test } from "vitest";
import { frame, messagesOf } from "./framing.ts";

const messages = [Uint8Array.of(1, 2, 3), new Uint8Array(0), new Uint8Array(300).fill(7)];
const written = Buffer.concat(messages.map(frame));

async function* inPieces(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size);
}

test("a message has its length before it", () => {
  expect([...frame(Uint8Array.of(9, 8))]).toEqual([0, 0, 0, 2, 9, 8]);
});

test.each([1, 3, 64, 10_000])(
  "messages are read as they were written, in pieces of %i bytes",
  async (size) => {
    const read = await Array.fromAsync(messagesOf(inPieces(written, size)));
    expect(read.map((each) => [...each])).toEqual(messages.map((each) => [...each]));
  },
);

test("a stream that ends within a message is an error", async () => {
  const cut = messagesOf(inPieces(written.subarray(0, -1), 64));
  await expect(Array.fromAsync(cut)).rejects.toThrow("within a message, after 303 bytes");
});
