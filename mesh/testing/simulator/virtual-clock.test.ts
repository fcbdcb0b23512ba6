import { expect, test } from "vitest";
import { virtualClock } from "./virtual-clock.ts";

test("time jumps from one event to the next, and stops where it is told to", async () => {
  const clock = virtualClock();
  const seen: number[] = [];
  for (const delayMs of [300, 100, 200.5]) clock.after(delayMs, () => seen.push(clock.now()));
  await clock.runUntil(250);
  expect(seen).toEqual([100, 200.5]);
  expect(clock.now()).toBe(250);
  expect(clock.date()).toEqual(new Date("2026-01-01T00:00:00.250Z"));
  await clock.runUntil(1_000);
  expect(seen).toEqual([100, 200.5, 300]);
});

test("what waits for a promise goes on before time does", async () => {
  const clock = virtualClock();
  const seen: string[] = [];
  clock.after(10, async () => {
    for (let i = 0; i < 50; i++) await Promise.resolve();
    seen.push(`fifty promises later at ${clock.now()}`);
    await clock.sleep(0);
    seen.push(`after no sleep at ${clock.now()}`);
    await clock.sleep(5);
    seen.push(`after 5 ms at ${clock.now()}`);
  });
  clock.after(11, () => seen.push("the next event at 11"));
  await clock.runUntil(20);
  expect(seen).toEqual([
    "fifty promises later at 10",
    "after no sleep at 10",
    "the next event at 11",
    "after 5 ms at 15",
  ]);
});

test("a delay below 0 is none, and what was called off does not happen", async () => {
  const clock = virtualClock();
  await clock.runUntil(100);
  const seen: string[] = [];
  clock.after(-5, () => seen.push(`at ${clock.now()}`));
  clock.after(5, () => seen.push("called off"))();
  await clock.runUntil(200);
  expect(seen).toEqual(["at 100"]);
});

test("a sleep ends at once when its signal aborts, or has aborted", async () => {
  const clock = virtualClock();
  const controller = new AbortController();
  const woken: number[] = [];
  for (const delayMs of [30, 90])
    void clock.sleep(delayMs, controller.signal).then(() => woken.push(clock.now()));
  clock.after(50, () => controller.abort());
  await clock.runUntil(100);
  expect(woken).toEqual([30, 50]);
  await clock.sleep(1_000, controller.signal);
  expect(clock.now()).toBe(100);
});
