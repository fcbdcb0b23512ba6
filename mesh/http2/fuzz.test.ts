import { expect, test } from "vitest";
import { fuzzFrames } from "./fuzz.ts";

const CASES = Number(process.env.CASES || 40_000);
const SEED = Number(process.env.SEED || 9113);

test(`whatever ${CASES} peers send from seed ${SEED}, HTTP/2 comes back, and nothing is left of it`, {
  timeout: 60_000 + 10 * CASES,
}, async () => {
  const tally = await fuzzFrames({ seed: SEED, cases: CASES });
  for (const [what, count] of Object.entries(tally))
    expect([what, count > CASES / 100]).toEqual([what, true]);
});

test("a seed repeats its run, and another one does not", async () => {
  const first = await fuzzFrames({ seed: 1, cases: 400 });
  expect(await fuzzFrames({ seed: 1, cases: 400 })).toEqual(first);
  expect(await fuzzFrames({ seed: 2, cases: 400 })).not.toEqual(first);
});
