import { Code } from "@connectrpc/connect";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { expect, test, vi } from "vitest";
import { COMPRESSED, ENVELOPE_BYTES, EnvelopeReader } from "./envelope.ts";

const MAX = 100_000;

function enveloped(...messages: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(messages.map((message) => encodeEnvelope(0, Buffer.from(message))));
}

/** A prefix by hand, of a message that may not be there. */
function prefix(length: number, flags = 0): Buffer {
  const bytes = Buffer.alloc(ENVELOPE_BYTES);
  bytes[0] = flags;
  bytes.writeUInt32BE(length, 1);
  return bytes;
}

function reading(maxBytes = MAX) {
  const messages: Buffer[] = [];
  const flags: number[] = [];
  const reader = new EnvelopeReader(maxBytes, (flag, message) => {
    flags.push(flag);
    messages.push(message);
  });
  const push = (...chunks: readonly Buffer[]) => {
    for (const chunk of chunks) reader.push(chunk, 0, chunk.length);
  };
  return { reader, push, messages, flags, texts: () => messages.map(String) };
}

const refusal = (code: Code, message: RegExp) =>
  expect.objectContaining({ code, rawMessage: expect.stringMatching(message) });

test("messages in one chunk are views of it", () => {
  const { reader, push, messages, texts } = reading();
  const chunk = enveloped("abc", "", "de");
  push(chunk);
  expect(texts()).toEqual(["abc", "", "de"]);
  expect(
    messages.map(({ buffer, byteOffset }) => [buffer === chunk.buffer, byteOffset - chunk.byteOffset]),
  ).toEqual([
    [true, 5],
    [true, 13],
    [true, 18],
  ]);
  expect([reader.buffered, reader.expected]).toEqual([0, 0]);
  expect(() => reader.finish()).not.toThrow();
});

test("a message whose prefix came before is still a view", () => {
  const { push, messages } = reading();
  const chunk = enveloped("abc");
  push(chunk.subarray(0, 5), chunk.subarray(5));
  expect(messages[0]?.buffer).toBe(chunk.buffer);
});

test("wherever the bytes are cut, the messages are the same", () => {
  const bytes = enveloped("abc", "", "defgh");
  for (let first = 0; first <= bytes.length; first++) {
    for (let second = first; second <= bytes.length; second++) {
      const { reader, push, texts } = reading();
      push(bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second));
      expect(texts()).toEqual(["abc", "", "defgh"]);
      expect(reader.buffered).toBe(0);
    }
  }
});

test("only the part of a chunk that is told is read", () => {
  const { reader, texts } = reading();
  const bytes = enveloped("abc", "de");
  reader.push(Buffer.concat([Buffer.from("xx"), bytes, Buffer.from("yyyyyyy")]), 2, 2 + bytes.length);
  expect(texts()).toEqual(["abc", "de"]);
  expect(reader.buffered).toBe(0);
});

test("what is held, and what is to come, is told", () => {
  const { reader, push } = reading();
  const states: number[][] = [];
  for (const byte of enveloped("abcd").subarray(0, -1)) {
    push(Buffer.from([byte]));
    states.push([reader.buffered, reader.expected]);
  }
  expect(states).toEqual([
    [1, 0],
    [2, 0],
    [3, 0],
    [4, 0],
    [0, 4],
    [1, 4],
    [2, 4],
    [3, 4],
  ]);
});

test("a length that is announced costs nothing until its bytes arrive", () => {
  const allocate = vi.spyOn(Buffer, "allocUnsafe");
  try {
    const { push, messages } = reading(4 << 20);
    push(prefix(4 << 20));
    expect(allocate).not.toHaveBeenCalled();
    let sent = 0;
    for (const bytes of [1, 4_095, 1, 100_000, 1, (4 << 20) - 104_098]) {
      push(Buffer.alloc(bytes, 7));
      sent += bytes;
      const held = Number(allocate.mock.lastCall?.[0]);
      expect(held).toBeLessThanOrEqual(Math.max(1_024, 2 * sent));
    }
    expect(allocate.mock.calls.map(([bytes]) => bytes)).toEqual([
      1_024,
      4_096,
      8_192,
      104_097,
      208_194,
      4 << 20,
    ]);
    expect(messages[0]?.length).toBe(4 << 20);
    expect(messages[0]?.every((byte) => byte === 7)).toBe(true);
  } finally {
    allocate.mockRestore();
  }
});

test("a message that is gathered in one step is not moved", () => {
  const allocate = vi.spyOn(Buffer, "allocUnsafe");
  try {
    const { push } = reading();
    push(prefix(1_000), Buffer.alloc(10), Buffer.alloc(500), Buffer.alloc(490));
    expect(allocate.mock.calls).toEqual([[1_000]]);
  } finally {
    allocate.mockRestore();
  }
});

test("messages that are gathered share no memory", () => {
  const { push, texts } = reading();
  push(...[..."abc"].flatMap((char) => [prefix(4), Buffer.from(char), Buffer.from(char.repeat(3))]));
  expect(texts()).toEqual(["aaaa", "bbbb", "cccc"]);
});

test("a message may be as long as is allowed, and no byte longer", () => {
  const { push, messages } = reading(10);
  push(enveloped(Buffer.alloc(10)));
  expect(messages).toHaveLength(1);
  expect(() => push(prefix(11))).toThrow(refusal(Code.ResourceExhausted, /11 bytes .* 10 /));
});

test("what is too long is refused at its prefix, after the messages before it", () => {
  const { reader, push, texts } = reading(10);
  expect(() => push(enveloped("abc", Buffer.alloc(11), "de"))).toThrow(refusal(Code.ResourceExhausted, /11/));
  expect(texts()).toEqual(["abc"]);
  expect([reader.buffered, reader.expected]).toEqual([0, 0]);
  expect(() => reading().push(prefix(0xffff_ffff))).toThrow(
    refusal(Code.ResourceExhausted, /4294967295 bytes/),
  );
});

test.each([0x02, 0x03, 0x80, 0xff])("the flags %d are none of gRPC's", (flags) => {
  const { reader, push } = reading();
  reader.mayBeCompressed = true;
  expect(() => push(prefix(0, flags))).toThrow(refusal(Code.Internal, new RegExp(`flags ${flags},`)));
});

test("a compressed message needs a grpc-encoding", () => {
  expect(() => reading().push(prefix(0, COMPRESSED))).toThrow(refusal(Code.Internal, /no grpc-encoding/));
  const { reader, push, flags } = reading();
  reader.mayBeCompressed = true;
  push(prefix(0, COMPRESSED), prefix(0));
  expect(flags).toEqual([COMPRESSED, 0]);
});

test.each([
  ["a prefix", Buffer.from([0, 0, 0]), /after 3 of the 5 bytes of a prefix/],
  ["a message", Buffer.concat([prefix(10), Buffer.from("abc")]), /after 3 of the 10 bytes of a message/],
  ["a prefix and no more", prefix(10), /after 0 of the 10 bytes of a message/],
])("a stream that ends within %s is not whole", (_, bytes, message) => {
  const { reader, push } = reading();
  push(bytes);
  expect(() => reader.finish()).toThrow(refusal(Code.Internal, message));
  expect(reader.buffered).toBe(0);
  expect(() => reader.finish()).not.toThrow();
});

test("after an error nothing is held, and what comes is ignored", () => {
  const { reader, push, messages } = reading(10);
  expect(() => push(prefix(11))).toThrow();
  push(enveloped("abc"), Buffer.from([0, 0]));
  expect(messages).toEqual([]);
  expect(reader.buffered).toBe(0);
  expect(() => reader.finish()).not.toThrow();
});

test("an error of who receives ends the reading too", () => {
  let count = 0;
  const reader = new EnvelopeReader(MAX, () => {
    count++;
    throw new Error("enough");
  });
  const bytes = enveloped("a", "b");
  expect(() => reader.push(bytes, 0, bytes.length)).toThrow("enough");
  reader.push(bytes, 0, bytes.length);
  expect(count).toBe(1);
});

test("who receives may close the reader, and gets no more", () => {
  const texts: string[] = [];
  const reader = new EnvelopeReader(MAX, (_, message) => {
    texts.push(message.toString());
    reader.close();
  });
  const bytes = enveloped("a", "b");
  reader.push(bytes, 0, bytes.length);
  expect(texts).toEqual(["a"]);
});
