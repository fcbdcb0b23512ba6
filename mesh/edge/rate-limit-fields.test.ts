import { expect, test } from "vitest";
import { rateLimitFields } from "./rate-limit-fields.ts";

const taken = { isOver: false, isFirstOver: false };

test("each limit is told by its name, with what is left of it and when it begins anew, in whole seconds", () => {
  const fields = rateLimitFields([
    {
      of: { name: "address", maxCalls: 600, windowMs: 60_000 },
      taken: { ...taken, callsLeft: 599, resetMs: 59_001 },
    },
    {
      of: { name: "toy.v1.Toys/Play", maxCalls: 5, windowMs: 1_500 },
      taken: { ...taken, callsLeft: 0, resetMs: 1 },
    },
  ]);
  expect(fields).toEqual({
    "ratelimit-policy": '"address";q=600;w=60, "toy.v1.Toys/Play";q=5;w=2',
    ratelimit: '"address";r=599;t=60, "toy.v1.Toys/Play";r=0;t=1',
  });
});
