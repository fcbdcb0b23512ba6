import { expect, test } from "vitest";
import { inBatches } from "./in-batches.ts";

test("what comes while a batch is worked on makes up the next one, in order and no larger than may be", async () => {
  const batches: number[][] = [];
  const goOn = Promise.withResolvers<void>();
  const add = inBatches<number, number>(3, async (items) => {
    batches.push([...items]);
    if (batches.length === 1) await goOn.promise;
    return items.map((value) => value * 10);
  });
  const first = [1, 2].map(add);
  await new Promise((resolve) => setTimeout(resolve));
  const rest = [3, 4, 5, 6].map(add);
  goOn.resolve();
  expect(await Promise.all([...first, ...rest])).toEqual([10, 20, 30, 40, 50, 60]);
  expect(batches).toEqual([[1, 2], [3, 4, 5], [6]]);
});

test("each gets its own answer; what fails as a whole fails for all, and the next batch is not touched", async () => {
  const add = inBatches<number, number>(10, async (items) => {
    if (items.includes(0)) throw new Error("all of them");
    return items.map(async (value) => {
      if (value < 0) throw new Error(`not ${value}`);
      return value;
    });
  });
  const answers = await Promise.allSettled([add(1), add(-1)]);
  expect(answers).toMatchObject([{ value: 1 }, { reason: { message: "not -1" } }]);
  const failed = await Promise.allSettled([add(0), add(2)]);
  expect(failed).toMatchObject([
    { reason: { message: "all of them" } },
    { reason: { message: "all of them" } },
  ]);
  expect(await add(3)).toBe(3);
});

test("the next batch does not wait for an answer that takes its time", async () => {
  const late = Promise.withResolvers<string>();
  const add = inBatches<string, string>(10, async (items) =>
    items.map((item) => (item === "slow" ? late.promise : item)),
  );
  const slow = add("slow");
  expect(await add("with it")).toBe("with it");
  expect(await add("after it")).toBe("after it");
  late.resolve("at last");
  expect(await slow).toBe("at last");
});
