import { expect, test } from "vitest";
import { inTurn } from "./in-turn.ts";

test("so many run at a time, the others in their order, whether they end well or not", async () => {
  const begun: number[] = [];
  const ends: ((outcome: Promise<string>) => void)[] = [];
  const run = inTurn(2);
  const results = [0, 1, 2, 3, 4].map((i) =>
    run(() => {
      begun.push(i);
      return new Promise<string>((resolve) => {
        ends[i] = resolve;
      });
    }),
  );
  const settled = Promise.allSettled(results);
  expect(begun).toEqual([0, 1]);
  ends[1]?.(Promise.reject(new Error("one")));
  await expect(results[1]).rejects.toThrow("one");
  expect(begun).toEqual([0, 1, 2]);
  ends[0]?.(Promise.resolve("zero"));
  expect(await results[0]).toBe("zero");
  expect(begun).toEqual([0, 1, 2, 3]);
  ends[2]?.(Promise.resolve("two"));
  ends[3]?.(Promise.resolve("three"));
  await Promise.all([results[2], results[3]]);
  ends[4]?.(Promise.resolve("four"));
  await settled;
  expect(begun).toEqual([0, 1, 2, 3, 4]);
  // Its places are free again.
  expect(await Promise.all([run(async () => "a"), run(async () => "b"), run(async () => "c")])).toEqual([
    "a",
    "b",
    "c",
  ]);
});
