import { expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { keptProofs } from "./kept-proofs.ts";

const ada = { kind: "customer", id: "cust-ada" } as const;

test("a proof is kept for 5 seconds", () => {
  const clock = manualClock();
  const proofs = keptProofs(clock);
  expect(proofs.find("token")).toBeUndefined();
  proofs.keep("token", ada, clock.date().getTime() + 600_000);
  clock.advance(4_999);
  expect([proofs.find("token"), proofs.find("another")]).toEqual([ada, undefined]);
  clock.advance(1);
  expect(proofs.find("token")).toBeUndefined();
});

test("no proof is kept for longer than its token lasts", () => {
  const clock = manualClock();
  const proofs = keptProofs(clock);
  proofs.keep("token", ada, clock.date().getTime() + 100);
  clock.advance(99);
  expect(proofs.find("token")).toBe(ada);
  clock.advance(1);
  expect(proofs.find("token")).toBeUndefined();
});

test("of more than a thousand the one that was not asked for the longest is forgotten", () => {
  const clock = manualClock();
  const proofs = keptProofs(clock);
  for (let n = 0; n < 1_000; n++) proofs.keep(`token ${n}`, ada, Number.POSITIVE_INFINITY);
  proofs.find("token 0");
  proofs.keep("one more", ada, Number.POSITIVE_INFINITY);
  expect([proofs.find("token 0"), proofs.find("token 1"), proofs.find("one more")]).toEqual([
    ada,
    undefined,
    ada,
  ]);
});
