import { expect, test } from "vitest";
import { fuzzHpack } from "./fuzz.ts";

test("no block does more than be read or refused, and what a peer means arrives", () => {
  const { meant, decoded, refused, tooLarge } = fuzzHpack({ seed: 7541, cases: 50_000 });
  expect(meant + decoded + refused).toBe(50_000);
  // So that each kind is tried, and not only named.
  for (const count of [meant, decoded, refused, tooLarge]) expect(count).toBeGreaterThan(1_000);
}, 120_000);

test("a seed repeats its run, and another one does not", () => {
  const first = fuzzHpack({ seed: 1, cases: 300 });
  expect(fuzzHpack({ seed: 1, cases: 300 })).toEqual(first);
  expect(fuzzHpack({ seed: 2, cases: 300 })).not.toEqual(first);
});
