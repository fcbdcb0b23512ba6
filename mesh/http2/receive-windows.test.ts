import { expect, test } from "vitest";
import { HeardStream } from "./heard-stream.ts";
import { ReceiveWindows } from "./receive-windows.ts";

/** Windows of 100 bytes a stream and 100,000 in all, and what the peer is told of them as "stream: bytes". */
function opened() {
  const told: string[] = [];
  const updates = { windowUpdate: (id: number, bytes: number) => void told.push(`${id}: ${bytes}`) };
  const windows = new ReceiveWindows(updates, 100, 100_000);
  const stream = Object.assign(new HeardStream(), { id: 1 });
  windows.open(stream);
  return { windows, stream, told: () => told.splice(0) };
}

test("the connection's window is what was asked for, and opens as soon as half of it has come", () => {
  const { windows, told } = opened();
  expect(told()).toEqual(["0: 34465"]);
  windows.came(49_999);
  expect(told()).toEqual([]);
  windows.came(1);
  expect(told()).toEqual(["0: 50000"]);
  expect(() => windows.came(100_001)).toThrow("more data than the connection's window allows");
});

test("a stream's window opens when half of it has been taken, and not because it came", () => {
  const { windows, stream, told } = opened();
  told();
  expect(windows.cameOn(stream, 100)).toBe(true);
  windows.taken(stream, 49);
  expect(told()).toEqual([]);
  windows.taken(stream, 1);
  expect(told()).toEqual(["1: 50"]);
  expect(windows.cameOn(stream, 51)).toBe(false);
});

test("what is widened for a large message is not given a second time", () => {
  const { windows, stream, told } = opened();
  told();
  windows.widen(stream, 300);
  expect(told()).toEqual(["1: 200"]);
  windows.widen(stream, 300);
  expect(told()).toEqual([]);
  expect(windows.cameOn(stream, 300)).toBe(true);
  windows.taken(stream, 300);
  expect(told()).toEqual(["1: 100"]);
});

test("a peer that has ended a stream is told no more about it", () => {
  const { windows, stream, told } = opened();
  told();
  stream.isRemoteEnded = true;
  windows.taken(stream, 100);
  windows.widen(stream, 1_000);
  expect(told()).toEqual([]);
});
