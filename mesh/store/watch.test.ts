import { expect, test } from "vitest";
import { systemClock } from "../core/clock.ts";
import { manualClock } from "../testing/clock.ts";
import { Changes, watch } from "./watch.ts";

const never = new AbortController().signal;
const LONG_MS = 60_000;

test("a change of a key wakes those who wait for it, and nobody else", async () => {
  const changes = new Changes();
  const woken: string[] = [];
  const clock = manualClock();
  const waits = ["a", "b", "ab"].map((keys) =>
    changes.next([...keys], LONG_MS, never, clock).then(() => void woken.push(keys)),
  );
  changes.announce("c");
  changes.announce("b");
  await Promise.all(waits.slice(1));
  expect(woken).toEqual(["b", "ab"]);
  changes.announce("a");
  await waits[0];
});

test("a change before the wait wakes nobody, and a wait is woken once", async () => {
  const changes = new Changes();
  const clock = manualClock();
  changes.announce("a");
  let woken = 0;
  const wait = changes.next(["a"], LONG_MS, never, clock).then(() => void woken++);
  await Promise.resolve();
  expect(woken).toBe(0);
  changes.announce("a");
  changes.announce("a");
  await wait;
  expect(woken).toBe(1);
});

test("a wait ends when its time is up, or when its signal aborts", async () => {
  const changes = new Changes();
  const clock = manualClock();
  const timed = changes.next(["a"], LONG_MS, never, clock);
  clock.advance(LONG_MS);
  await timed;
  const aborting = new AbortController();
  const aborted = changes.next(["a"], LONG_MS, aborting.signal, clock);
  aborting.abort();
  await aborted;
});

/** A value that somebody watches, and how. */
function watched(signal: AbortSignal = never) {
  const changes = new Changes();
  const clock = manualClock();
  const value = { version: 1, reads: 0 };
  const read = async () => {
    value.reads++;
    return value.version;
  };
  const values = watch(read, (version) => version, { changes, keys: ["a"], signal, pollMs: LONG_MS, clock });
  const set = (version: number) => {
    value.version = version;
    changes.announce("a");
  };
  return { value, set, clock, values };
}

test("who watches sees the value at once, and then each change", async () => {
  const { values, set } = watched();
  expect((await values.next()).value).toBe(1);
  const second = values.next();
  set(2);
  expect((await second).value).toBe(2);
  const third = values.next();
  set(3);
  expect((await third).value).toBe(3);
});

test("a change between two looks is seen, though nobody waited when it came", async () => {
  const { values, set } = watched();
  await values.next();
  set(2);
  expect((await values.next()).value).toBe(2);
});

test("a change of another process is seen at the next look", async () => {
  const { values, value, clock } = watched();
  await values.next();
  const second = values.next();
  value.version = 2;
  await clock.whenSleeping(1);
  clock.advance(LONG_MS);
  expect((await second).value).toBe(2);
});

test("a value that is the same as before is not shown again", async () => {
  const { values, set, value } = watched();
  await values.next();
  const second = values.next();
  set(1);
  while (value.reads < 2) await Promise.resolve();
  set(2);
  expect((await second).value).toBe(2);
});

test("watching ends when the signal aborts, and leaves nothing behind", async () => {
  const ending = new AbortController();
  const { values } = watched(ending.signal);
  await values.next();
  const second = values.next();
  ending.abort();
  expect(await second).toEqual({ value: undefined, done: true });
});

test("a fault of reading reaches who watches", async () => {
  const values = watch(
    async () => {
      throw new Error("gone");
    },
    () => 1,
    { changes: new Changes(), keys: ["a"], signal: never, pollMs: 1, clock: systemClock },
  );
  await expect(values.next()).rejects.toThrow("gone");
});
