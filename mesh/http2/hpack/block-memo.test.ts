import { expect, test } from "vitest";
import { BlockMemo } from "./block-memo.ts";

const fields = [{ name: "a", value: "1" }];
const block = Buffer.from([9, 1, 2, 3, 9]);

test("a block is found by its octets, wherever they lie, at its version of the table only", () => {
  const memo = new BlockMemo();
  expect(memo.find(block, 1, 4, 7)).toBeUndefined();
  memo.remember(block, 1, 4, 7, fields);
  expect(memo.find(Buffer.from([1, 2, 3]), 0, 3, 7)).toBe(fields);
  expect(memo.find(block, 1, 4, 8)).toBeUndefined();
  expect(memo.find(Buffer.from([1, 4, 3]), 0, 3, 7)).toBeUndefined();
  expect(memo.find(block, 1, 5, 7)).toBeUndefined();
});

test("what it remembers is its own", () => {
  const memo = new BlockMemo();
  const octets = Buffer.from([1, 2, 3]);
  memo.remember(octets, 0, 3, 0, fields);
  octets[1] = 4;
  expect(memo.find(octets, 0, 3, 0)).toBeUndefined();
  expect(memo.find(Buffer.from([1, 2, 3]), 0, 3, 0)).toBe(fields);
});

test("it holds a few short blocks, the last ones", () => {
  const memo = new BlockMemo();
  const long = Buffer.alloc(65, 1);
  memo.remember(long, 0, 65, 0, fields);
  expect(memo.find(long, 0, 65, 0)).toBeUndefined();
  for (let i = 0; i < 100; i++) memo.remember(Buffer.from([i]), 0, 1, 0, fields);
  const held = Array.from({ length: 100 }, (_, i) => memo.find(Buffer.from([i]), 0, 1, 0) !== undefined);
  expect(held.filter(Boolean).length).toBe(16);
  expect(held.slice(84).every(Boolean)).toBe(true);
});
