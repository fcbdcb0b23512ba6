import { expect, test } from "vitest";
import { EndedStreams } from "./ended-streams.ts";

test("a stream that was ended is known, another is not", () => {
  const ended = new EndedStreams();
  ended.add(3);
  expect([ended.mayHave(3), ended.mayHave(1), ended.mayHave(5)]).toEqual([true, false, false]);
});

test("of very many, the oldest are forgotten, and none of that age is blamed", () => {
  const ended = new EndedStreams();
  for (let id = 1; id <= 1_001; id++) ended.add(2 * id + 1);
  expect(ended.mayHave(1)).toBe(true);
  expect(ended.mayHave(3)).toBe(true);
  // Between two that are remembered.
  expect(ended.mayHave(6)).toBe(false);
});
