import { expect, test } from "vitest";
import { manualClock } from "../../mesh/testing/clock.ts";
import { sayProgress } from "./say-progress.ts";

test("how far it is is said every 15 s, with how long it will take as it goes now, until it ends", async () => {
  const clock = manualClock();
  const said: string[] = [];
  let done = 0;
  const progress = sayProgress({
    what: "orders",
    of: 1_000,
    done: () => done,
    besides: () => `${done / 10} kills`,
    say: (what) => void said.push(what),
    clock,
  });
  for (const now of [30, 30, 1_020]) {
    await clock.whenSleeping(1);
    done = now;
    clock.advance(15_000);
  }
  await clock.whenSleeping(1);
  await progress.stop();
  expect(said).toEqual([
    "30 of 1000 orders, 2.0 a second, some 9 min more; 3 kills",
    "30 of 1000 orders, 0.0 a second, none of late; 3 kills",
    "1020 of 1000 orders, 66.0 a second, some 0 min more; 102 kills",
  ]);
});
