import { expect, test } from "vitest";
import { silentLog } from "../core/log.ts";
import { atEnd } from "../testing/at-end.ts";
import { manualClock } from "../testing/clock.ts";
import { testDatabase } from "../testing/database.ts";
import { until } from "../testing/until.ts";
import { connect } from "./connect.ts";
import { keepHouse, type Prune } from "./housekeeping.ts";

const { url } = await testDatabase();
const sql = connect({ url, name: "test" });
atEnd(() => sql.end());

/** Lets a minute pass once the housekeeper waits for it. */
async function minute(clock: ReturnType<typeof manualClock>): Promise<void> {
  await clock.whenSleeping(1);
  clock.advance(60_000);
}

test("every minute all that can be deleted is, some at a time", async () => {
  const clock = manualClock();
  const calls: string[] = [];
  const deletes =
    (name: string, ...counts: number[]): Prune =>
    async () => {
      calls.push(name);
      return counts.shift() ?? 0;
    };
  const house = keepHouse(sql, [deletes("a", 5_000, 5_000, 3), deletes("b")], silentLog, clock);
  expect(calls).toEqual([]);
  await minute(clock);
  await until(() => calls.length === 5);
  expect(calls).toEqual(["a", "a", "a", "a", "b"]);
  await minute(clock);
  await until(() => calls.length === 7);
  await house.stop();
});

test("what fails keeps neither the others from being pruned nor itself from the next turn", async () => {
  const clock = manualClock();
  const calls: string[] = [];
  const fails: Prune = async (tx) => {
    calls.push("fails");
    await tx`SELECT nonsense`;
    return 0;
  };
  const works: Prune = async () => {
    calls.push("works");
    return 0;
  };
  const house = keepHouse(sql, [fails, works], silentLog, clock);
  for (const turn of [1, 2]) {
    await minute(clock);
    await until(() => calls.length === 2 * turn);
  }
  expect(calls).toEqual(["fails", "works", "fails", "works"]);
  await house.stop();
});

test("stopping ends it between two pieces, not in the middle of one", async () => {
  const clock = manualClock();
  const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let calls = 0;
  const endless: Prune = async () => {
    calls++;
    begun.resolve();
    await goOn.promise;
    return 1;
  };
  const house = keepHouse(sql, [endless], silentLog, clock);
  await minute(clock);
  await begun.promise;
  const stopped = house.stop();
  goOn.resolve();
  await stopped;
  expect(calls).toBe(1);
});
