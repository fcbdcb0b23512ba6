import { expect, test } from "vitest";
import { random } from "../testing/random.ts";
import { wavesOf } from "./waves.ts";

test("wave n holds the nth row of each key", () => {
  const rows = ["a1", "b1", "a2", "c1", "a3", "b2"].map((id) => ({ id, key: id[0] as string }));
  expect(wavesOf(rows).map((wave) => wave.map(({ id }) => id))).toEqual([
    ["a1", "b1", "c1"],
    ["a2", "b2"],
    ["a3"],
  ]);
});

test("rows without a key are all in the first wave", () => {
  const rows = [
    { id: 1, key: null },
    { id: 2, key: "a" },
    { id: 3, key: null },
    { id: 4, key: "a" },
  ];
  expect(wavesOf(rows).map((wave) => wave.map(({ id }) => id))).toEqual([[1, 2, 3], [4]]);
});

test("no rows make no waves", () => {
  expect(wavesOf([])).toEqual([]);
});

test("of any rows each is in one wave, no key is twice in a wave, and a key's rows keep their order", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const chances = random(seed);
    const keys = [null, "a", "b", "c", "d"].slice(0, 1 + chances.below(5));
    const rows = Array.from({ length: chances.below(60) }, (_, id) => ({ id, key: chances.pick(keys) }));
    const waves = wavesOf(rows);
    const inOrder = waves.flat();
    expect(inOrder.map(({ id }) => id).sort((a, b) => a - b)).toEqual(rows.map(({ id }) => id));
    for (const wave of waves) {
      expect(wave.length).toBeGreaterThan(0);
      const keyed = wave.flatMap(({ key }) => (key === null ? [] : [key]));
      expect(new Set(keyed).size).toBe(keyed.length);
    }
    for (const key of keys) {
      const ids = inOrder.filter((row) => row.key === key).map(({ id }) => id);
      expect(ids).toEqual([...ids].sort((a, b) => a - b));
    }
  }
});
