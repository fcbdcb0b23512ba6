import { getEventListeners } from "node:events";
import fc from "fast-check";
import { expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { isQuiet, settled } from "../testing/toy-calls.ts";
import { bulkhead } from "./bulkhead.ts";

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("enter" as const), leftMs: fc.integer({ min: 1, max: 600 }) }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("end" as const), which: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("leave" as const), which: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.nat(40) }) },
  // Whoever gets a place and leaves at the same moment has to give it back.
  { weight: 1, arbitrary: fc.record({ do: fc.constant("end, then leave" as const), which: fc.nat() }) },
);
const sizes = fc.record({
  maxConcurrent: fc.integer({ min: 1, max: 4 }),
  maxQueue: fc.integer({ min: 0, max: 5 }),
});

interface Caller {
  readonly number: number;
  readonly leaving: AbortController;
  readonly untilMs: number;
  /** Set once there is an answer: the function that gives the place back, or nothing. */
  answer?: { readonly end: (() => void) | undefined };
}

test("a bulkhead never holds more than it may, loses no place, keeps the order and keeps nobody waiting", async () => {
  await fc.assert(
    fc.asyncProperty(sizes, fc.array(step, { maxLength: 100, size: "max" }), async (sizes, steps) => {
      const clock = manualClock();
      const places = bulkhead(sizes, clock);
      const callers: Caller[] = [];
      const running: (() => void)[] = [];
      const entered: number[] = [];
      const waiting = () => callers.filter(({ answer }) => answer === undefined);
      const end = (which: number) => {
        const [give] = running.splice(which % Math.max(running.length, 1), 1);
        give?.();
        give?.();
      };

      for (const each of steps) {
        switch (each.do) {
          case "enter": {
            const waitMs = Math.min(100, each.leftMs / 4);
            const caller: Caller = {
              number: callers.length,
              leaving: new AbortController(),
              untilMs: clock.now() + waitMs,
            };
            const isFree = places.inflight < sizes.maxConcurrent;
            const isQueued = waiting().length < sizes.maxQueue;
            callers.push(caller);
            Promise.try(() => places.enter(each.leftMs, caller.leaving.signal)).then(
              (give) => {
                caller.answer = { end: give };
                running.push(give);
                entered.push(caller.number);
              },
              () => {
                caller.answer = { end: undefined };
              },
            );
            await settled();
            if (isFree) expect(caller.answer?.end).toBeDefined();
            else if (!isQueued) expect(caller.answer).toEqual({ end: undefined });
            else expect(caller.answer).toBeUndefined();
            break;
          }
          case "end":
            end(each.which);
            break;
          case "leave":
            callers[each.which % Math.max(callers.length, 1)]?.leaving.abort();
            break;
          case "end, then leave": {
            const [next] = waiting();
            end(each.which);
            next?.leaving.abort();
            break;
          }
          case "pass":
            clock.advance(each.ms);
        }
        expect(places.inflight).toBeLessThanOrEqual(sizes.maxConcurrent);
        // Whoever has an answer knows it by now.
        await settled();
        expect(places.inflight).toBe(running.length);
        expect(entered).toEqual([...entered].sort((a, b) => a - b));
        const present = waiting();
        expect(present.length).toBeLessThanOrEqual(sizes.maxQueue);
        if (present.length > 0) expect(places.inflight).toBe(sizes.maxConcurrent);
        for (const { untilMs, leaving } of present) {
          expect(clock.now()).toBeLessThan(untilMs);
          expect(leaving.signal.aborted).toBe(false);
        }
      }

      for (const { leaving } of waiting()) leaving.abort();
      await settled();
      while (running.length > 0) end(0);
      expect(waiting()).toEqual([]);
      expect(places.inflight).toBe(0);
      expect(await isQuiet(clock)).toBe(true);
      for (const { leaving } of callers) expect(getEventListeners(leaving.signal, "abort")).toEqual([]);
    }),
    { numRuns: 150 },
  );
});
