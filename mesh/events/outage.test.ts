import { expect, test } from "vitest";
import type { Clock } from "../core/clock.ts";
import { systemClock } from "../core/clock.ts";
import { Outage } from "./outage.ts";

const AWAY = new Error("away");
const never = new AbortController().signal;
const turns = async () => {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
};

/** An outage whose sleeps end when a test says so. */
function outageOf() {
  const sleeps: { delayMs: number; end: () => void }[] = [];
  const failures: [boolean, boolean][] = [];
  const clock: Clock = {
    ...systemClock,
    sleep: (delayMs, signal) =>
      new Promise((resolve) => {
        sleeps.push({ delayMs, end: resolve });
        signal?.addEventListener("abort", () => resolve());
      }),
  };
  const outage = new Outage({
    isAway: (error) => error === AWAY,
    onFailure: (_error, isFirst, isAway) => failures.push([isFirst, isAway]),
    clock,
  });
  return {
    outage,
    failures,
    /** How long they sleep who sleep now. */
    sleeping: () => sleeps.map(({ delayMs }) => delayMs),
    async wakeAll() {
      for (const { end } of sleeps.splice(0)) end();
      await turns();
    },
  };
}

test("work that succeeds is done once", async () => {
  const { outage } = outageOf();
  let count = 0;
  expect(await outage.withstand(async () => ++count, never)).toBe(1);
  expect(outage.isOn).toBe(false);
});

test("after three failures in a row one piece of work probes each second, and the others wait for its success", async () => {
  const { outage, sleeping, wakeAll } = outageOf();
  let isAway = true;
  let tries = 0;
  const work = async () => {
    tries++;
    if (isAway) throw AWAY;
    return "done";
  };
  const results = Array.from({ length: 6 }, () => outage.withstand(work, never));
  await turns();
  expect(outage.isOn).toBe(true);
  await wakeAll();
  const before = tries;
  for (let second = 1; second <= 5; second++) {
    expect(sleeping()).toEqual([1_000]);
    await wakeAll();
    expect(tries).toBe(before + second);
  }
  let isOver = false;
  const over = outage.over(never).then(() => {
    isOver = true;
  });
  await turns();
  expect(isOver).toBe(false);
  isAway = false;
  await wakeAll();
  expect(await Promise.all(results)).toEqual(Array(6).fill("done"));
  await over;
  expect(outage.isOn).toBe(false);
});

test("failures that say nothing of an outage only delay their own work", async () => {
  const { outage, sleeping, wakeAll, failures } = outageOf();
  let left = 5;
  const done = outage.withstand(async () => {
    if (left-- > 0) throw new Error("a table is missing");
    return "done";
  }, never);
  await turns();
  for (const most of [100, 200, 400, 800, 1_600]) {
    expect(outage.isOn).toBe(false);
    expect(sleeping()[0]).toBeGreaterThanOrEqual(most / 2);
    expect(sleeping()[0]).toBeLessThanOrEqual(most);
    await wakeAll();
  }
  expect(await done).toBe("done");
  expect(failures).toEqual([[true, false], ...Array(4).fill([false, false])]);
});

test("who is told to stop does not wait, and leaves the probe to another", async () => {
  const { outage, sleeping, wakeAll } = outageOf();
  const stopping = new AbortController();
  const away = async () => {
    throw AWAY;
  };
  const stopped = Array.from({ length: 3 }, () => outage.withstand(away, stopping.signal));
  await turns();
  await wakeAll();
  expect(sleeping()).toEqual([1_000]);
  const other = outage.withstand(async () => "done", never);
  stopping.abort();
  expect(await Promise.all(stopped)).toEqual([undefined, undefined, undefined]);
  await outage.over(stopping.signal);
  await turns();
  await wakeAll();
  expect(await other).toBe("done");
});
