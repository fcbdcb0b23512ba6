import { Writable } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { FrameWriter } from "./frame-writer.ts";

/** A socket that takes a write when the test says so. */
function slowSocket(highWaterMark = 16_384) {
  const writes: Buffer[] = [];
  const taking: (() => void)[] = [];
  const socket = new Writable({
    highWaterMark,
    write(chunk, _encoding, done) {
      writes.push(chunk);
      taking.push(done);
    },
  });
  return { socket: socket as never, writes, take: () => taking.shift()?.() };
}

function write(writer: FrameWriter, text: string): void {
  writer.reserve(text.length);
  writer.buffer.write(text, writer.at, "latin1");
  writer.at += text.length;
}

test("all that is written in one turn is one write", async () => {
  const { socket, writes } = slowSocket();
  const writer = new FrameWriter(socket);
  write(writer, "a");
  write(writer, "bc");
  expect(writes).toEqual([]);
  expect(writer.pendingBytes).toBe(3);
  await turn();
  expect(writes.map(String)).toEqual(["abc"]);
});

test("what the socket still reads is not written over", async () => {
  const { socket, writes, take } = slowSocket();
  const writer = new FrameWriter(socket);
  write(writer, "first");
  writer.flush();
  write(writer, "other");
  writer.flush();
  take();
  await turn();
  expect(writes.map(String)).toEqual(["first", "other"]);
});

test("what is larger than the buffer has one of its own, which is not kept", () => {
  const { socket, writes } = slowSocket();
  const writer = new FrameWriter(socket);
  write(writer, "a");
  write(writer, "b".repeat(100_000));
  expect(writes.map(String)).toEqual(["a"]);
  writer.flush();
  expect(writer.buffer.length).toBe(32_768);
  expect(writer.pendingBytes).toBe(100_001);
});

test("it is full while the socket has more than it wants", () => {
  const { socket } = slowSocket(10);
  const writer = new FrameWriter(socket);
  write(writer, "a".repeat(9));
  writer.flush();
  expect(writer.isFull).toBe(false);
  write(writer, "a");
  writer.flush();
  expect(writer.isFull).toBe(true);
});

test("after it is closed nothing leaves", async () => {
  const { socket, writes } = slowSocket();
  const writer = new FrameWriter(socket);
  write(writer, "a");
  writer.close();
  write(writer, "b".repeat(200_000));
  await turn();
  expect(writes).toEqual([]);
  expect(writer.at).toBe(0);
});
