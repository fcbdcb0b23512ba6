import { expect, test } from "vitest";
import { fuzzGrpcWire } from "./fuzz.ts";

const CASES = Number(process.env.CASES || 50_000);
const SEED = Number(process.env.SEED || 1);

test(`${CASES} inputs from seed ${SEED} are read as a plain model reads them`, {
  timeout: 60_000 + 5 * CASES,
}, () => {
  const tally = fuzzGrpcWire({ seed: SEED, cases: CASES });
  for (const [what, count] of Object.entries(tally)) expect([what, count > CASES / 50]).toEqual([what, true]);
});

test("the same seed gives the same inputs, another seed others", () => {
  const tally = fuzzGrpcWire({ seed: 2, cases: 500 });
  expect(fuzzGrpcWire({ seed: 2, cases: 500 })).toEqual(tally);
  expect(fuzzGrpcWire({ seed: 3, cases: 500 })).not.toEqual(tally);
});
