import { expect, test } from "vitest";
import { HeldBytes } from "./held-bytes.ts";

const MIB = 2 ** 20;

test("all peers together have so much and no more", () => {
  const held = new HeldBytes(4 * MIB);
  expect(held.allows(4 * MIB, 0)).toBe(true);
  expect(held.allows(4 * MIB + 1, 0)).toBe(false);
  held.add(3 * MIB);
  expect(held.allows(2 * MIB, 0)).toBe(false);
  held.add(-2 * MIB);
  expect(held.allows(2 * MIB, 0)).toBe(true);
  expect(held.bytes).toBe(MIB);
});

test("a peer has its share of 1 MiB, however much the others have", () => {
  const held = new HeldBytes(4 * MIB);
  held.add(5 * MIB);
  expect(held.allows(MIB, 0)).toBe(true);
  expect(held.allows(MIB - 10, 10)).toBe(true);
  expect(held.allows(MIB, 1)).toBe(false);
});
