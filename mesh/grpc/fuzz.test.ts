import { expect, test } from "vitest";
import { fuzzGrpcWire } from "./fuzz.ts";

test("fifty thousand random inputs are read as a plain model reads them", () => {
  const tally = fuzzGrpcWire({ seed: 1, cases: 50_000 });
  for (const [what, count] of Object.entries(tally)) expect([what, count > 1_000]).toEqual([what, true]);
});

test("the same seed gives the same inputs, another seed others", () => {
  const tally = fuzzGrpcWire({ seed: 2, cases: 500 });
  expect(fuzzGrpcWire({ seed: 2, cases: 500 })).toEqual(tally);
  expect(fuzzGrpcWire({ seed: 3, cases: 500 })).not.toEqual(tally);
});
