import fc from "fast-check";
import { expect, test } from "vitest";
import { eventQueue } from "./event-queue.ts";

/** What happens by then, in its order. */
function happen(queue: ReturnType<typeof eventQueue>, untilMs = Number.POSITIVE_INFINITY): void {
  for (let event = queue.next(untilMs); event; event = queue.next(untilMs)) event.act?.();
}

test("events happen by time, and at the same time in the order in which they were planned", () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 20 })), (times) => {
      const queue = eventQueue();
      const happened: { atMs: number; planned: number }[] = [];
      for (const [planned, atMs] of times.entries()) queue.plan(atMs, () => happened.push({ atMs, planned }));
      happen(queue);
      const expected = times.map((atMs, planned) => ({ atMs, planned }));
      expect(happened).toEqual(expected.sort((a, b) => a.atMs - b.atMs || a.planned - b.planned));
    }),
  );
});

test("what was called off does not happen, and does not stand in the way of what comes after it", () => {
  fc.assert(
    fc.property(fc.array(fc.record({ atMs: fc.nat({ max: 20 }), isOff: fc.boolean() })), (plans) => {
      const queue = eventQueue();
      const happened: number[] = [];
      const events = plans.map(({ atMs }) => queue.plan(atMs, () => happened.push(atMs)));
      for (const [i, { isOff }] of plans.entries()) {
        const event = events[i];
        if (isOff && event) event.act = undefined;
      }
      happen(queue);
      const kept = plans.filter(({ isOff }) => !isOff).map(({ atMs }) => atMs);
      expect(happened).toEqual(kept.sort((a, b) => a - b));
    }),
  );
});

test("an event that was called off is no next one, whenever it would have been", () => {
  const queue = eventQueue();
  for (const atMs of [1, 2, 3]) queue.plan(atMs, () => {}).act = undefined;
  expect(queue.next(2)).toBeUndefined();
});

test("an event that is not due yet stays", () => {
  const queue = eventQueue();
  const happened: number[] = [];
  for (const atMs of [30, 10, 20]) queue.plan(atMs, () => happened.push(atMs));
  happen(queue, 20);
  expect(happened).toEqual([10, 20]);
  expect(queue.next(29)).toBeUndefined();
  happen(queue, 30);
  expect(happened).toEqual([10, 20, 30]);
});

test("what an event plans for now happens after what was planned for now before", () => {
  const queue = eventQueue();
  const happened: string[] = [];
  queue.plan(5, () => {
    happened.push("first");
    queue.plan(5, () => happened.push("planned by the first"));
  });
  queue.plan(5, () => happened.push("second"));
  happen(queue);
  expect(happened).toEqual(["first", "second", "planned by the first"]);
});
