import { expect, test } from "vitest";
import { fuzzHpack } from "./fuzz.ts";

const CASES = Number(process.env.CASES || 50_000);
const SEED = Number(process.env.SEED || 7541);

test(`of ${CASES} blocks from seed ${SEED} none does more than be read or refused, and what a peer means arrives`, {
  timeout: 60_000 + 5 * CASES,
}, () => {
  const { meant, decoded, refused, tooLarge } = fuzzHpack({ seed: SEED, cases: CASES });
  expect(meant + decoded + refused).toBe(CASES);
  // So that each kind is tried, and not only named.
  for (const count of [meant, decoded, refused, tooLarge]) expect(count).toBeGreaterThan(CASES / 50);
});

test("a seed repeats its run, and another one does not", () => {
  const first = fuzzHpack({ seed: 1, cases: 300 });
  expect(fuzzHpack({ seed: 1, cases: 300 })).toEqual(first);
  expect(fuzzHpack({ seed: 2, cases: 300 })).not.toEqual(first);
});
