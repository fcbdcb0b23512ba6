import { expect, test } from "vitest";
import { fuzzFrames } from "./fuzz.ts";

test("whatever a peer sends, HTTP/2 comes back, and nothing is left of it", async () => {
  const tally = await fuzzFrames({ seed: 9113, cases: 40_000 });
  for (const [what, count] of Object.entries(tally)) expect([what, count > 200]).toEqual([what, true]);
}, 170_000);

test("a seed repeats its run, and another one does not", async () => {
  const first = await fuzzFrames({ seed: 1, cases: 400 });
  expect(await fuzzFrames({ seed: 1, cases: 400 })).toEqual(first);
  expect(await fuzzFrames({ seed: 2, cases: 400 })).not.toEqual(first);
});
