import { expect, test } from "vitest";
import { envelopeHead, wholeMessage } from "./envelope-head.ts";

test("a head has the flags and the length in network order, in the same memory each time", () => {
  const head = envelopeHead(1, 0x01020304);
  expect([...head]).toEqual([1, 1, 2, 3, 4]);
  expect(envelopeHead(0, 0xff000000)).toBe(head);
  expect([...head]).toEqual([0, 255, 0, 0, 0]);
});

test("data that is one whole message is found as a view", () => {
  const chunk = Buffer.from([9, 0, 0, 0, 0, 2, 65, 66, 9]);
  const message = wholeMessage(chunk, 1, 8, 2);
  expect(String(message)).toBe("AB");
  expect(message?.buffer).toBe(chunk.buffer);
  expect(wholeMessage(Buffer.from([0, 0, 0, 0, 0]), 0, 5, 0)).toHaveLength(0);
});

test.each([
  ["less than a prefix", [0, 0, 0, 0]],
  ["a part of a message", [0, 0, 0, 0, 2, 65]],
  ["more than a message", [0, 0, 0, 0, 1, 65, 66]],
  ["a compressed message", [1, 0, 0, 0, 1, 65]],
  ["a message of unknown flags", [128, 0, 0, 0, 1, 65]],
  ["a message that is too long", [0, 0, 0, 0, 4, 1, 2, 3, 4]],
  ["a length of 2^32-1", [0, 255, 255, 255, 255]],
])("%s is for a reader", (_, octets) => {
  expect(wholeMessage(Buffer.from(octets), 0, octets.length, 3)).toBeUndefined();
});
