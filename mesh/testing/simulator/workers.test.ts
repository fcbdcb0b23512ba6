import { expect, test } from "vitest";
import { virtualClock } from "./virtual-clock.ts";
import { type WorkersOptions, workers } from "./workers.ts";

/** A crew, and when each piece of work was done. */
function crewOf(count: number, options?: WorkersOptions) {
  const clock = virtualClock();
  const crew = workers(count, clock, options);
  const doneAtMs: Record<string, number> = {};
  const work = (name: string, lengthMs: number, gone?: AbortSignal) =>
    void crew
      .work(() => lengthMs, gone)
      .then(() => {
        doneAtMs[name] = clock.now();
      });
  return { clock, crew, work, doneAtMs };
}

test("two workers do two pieces at a time, first come first served", async () => {
  const { clock, crew, work, doneAtMs } = crewOf(2);
  work("a", 100);
  work("b", 30);
  work("c", 30);
  work("d", 30);
  await clock.runUntil(1_000);
  expect(doneAtMs).toEqual({ a: 100, b: 30, c: 60, d: 90 });
  expect(crew).toMatchObject({ workedMs: 190, wastedMs: 0 });
});

test("how long a piece takes is asked when it begins, not when it comes", async () => {
  const clock = virtualClock();
  const crew = workers(1, clock);
  const asked: number[] = [];
  const length = () => {
    asked.push(clock.now());
    return 40;
  };
  void crew.work(length);
  void crew.work(length);
  await clock.runUntil(1_000);
  expect(asked).toEqual([0, 40]);
});

test("what waits for a caller that has gone is thrown away; what has begun for one is finished, and wasted", async () => {
  const { clock, crew, work, doneAtMs } = crewOf(1);
  const caller = new AbortController();
  work("begun", 100, caller.signal);
  work("waiting", 100, caller.signal);
  work("of another", 100);
  clock.after(50, () => caller.abort());
  await clock.runUntil(1_000);
  expect(doneAtMs).toEqual({ begun: 100, waiting: 100, "of another": 200 });
  expect(crew).toMatchObject({ workedMs: 200, wastedMs: 100 });
});

test("a crew that works for nobody does what waits for a caller that has gone, too", async () => {
  const { clock, crew, work, doneAtMs } = crewOf(1, { worksForNobody: true });
  work("begun", 100);
  work("waiting", 100, AbortSignal.abort());
  work("of another", 100);
  await clock.runUntil(1_000);
  expect(doneAtMs).toEqual({ begun: 100, waiting: 200, "of another": 300 });
  expect(crew).toMatchObject({ workedMs: 300, wastedMs: 100 });
});

test("a long queue keeps its order", async () => {
  const clock = virtualClock();
  const crew = workers(3, clock);
  const done: number[] = [];
  for (let i = 0; i < 5_000; i++) void crew.work(() => 1).then(() => done.push(i));
  await clock.runUntil(10_000);
  expect(done).toEqual(Array.from({ length: 5_000 }, (_, i) => i));
});
