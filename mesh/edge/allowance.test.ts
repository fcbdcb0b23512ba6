import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { allowance } from "./allowance.ts";

const NOON = new Date("2026-01-01T12:00:00Z").getTime();

beforeEach(() => void vi.useFakeTimers({ now: NOON, toFake: ["Date", "setTimeout", "clearTimeout"] }));
afterEach(() => void vi.useRealTimers());

const three = (maxKeys = 100) => allowance({ name: "toy", maxCalls: 3, windowMs: 10_000, maxKeys });

test("each key has its calls in a window, which begins with the first of them", async () => {
  const toy = three();
  expect(await toy.take("a")).toEqual({ isOver: false, isFirstOver: false, callsLeft: 2, resetMs: 10_000 });
  vi.advanceTimersByTime(4_000);
  expect(await toy.take("a")).toMatchObject({ isOver: false, callsLeft: 1, resetMs: 6_000 });
  expect(await toy.take("a")).toMatchObject({ isOver: false, callsLeft: 0 });
  expect(await toy.take("b")).toMatchObject({ isOver: false, callsLeft: 2, resetMs: 10_000 });
  expect(await toy.take("a")).toEqual({ isOver: true, isFirstOver: true, callsLeft: 0, resetMs: 6_000 });
  expect(await toy.take("a")).toMatchObject({ isOver: true, isFirstOver: false });
  vi.advanceTimersByTime(6_000);
  expect(await toy.take("a")).toEqual({ isOver: false, isFirstOver: false, callsLeft: 2, resetMs: 10_000 });
});

test("who keeps calling when it is over does not put off the end of the window", async () => {
  const toy = three();
  for (let call = 0; call < 10; call++) {
    await toy.take("a");
    vi.advanceTimersByTime(999);
  }
  expect(await toy.take("a")).toMatchObject({ isOver: true, resetMs: 10 });
  vi.advanceTimersByTime(10);
  expect(await toy.take("a")).toMatchObject({ isOver: false, callsLeft: 2 });
});

test("a call that is given back may be made again; of a key that is not counted there is none", async () => {
  const toy = three();
  for (let call = 0; call < 3; call++) await toy.take("a");
  await toy.giveBack("a");
  await toy.giveBack("b");
  expect(await toy.take("a")).toMatchObject({ isOver: false, callsLeft: 0 });
  expect(await toy.take("a")).toMatchObject({ isOver: true });
  expect(await toy.take("b")).toMatchObject({ callsLeft: 2 });
});

test("with more keys than are counted, who has not called for longest is forgotten, and who calls is not", async () => {
  const toy = three(10);
  for (let call = 0; call < 4; call++) await toy.take("busy");
  await toy.take("idle");
  for (let n = 0; n < 1_000; n++) {
    await toy.take(`n${n}`);
    if (n % 5 === 0) expect(await toy.take("busy")).toMatchObject({ isOver: true });
  }
  expect(await toy.take("idle")).toMatchObject({ callsLeft: 2 });
});

test("what is forgotten takes no memory: a timer for each that is counted, and no more", async () => {
  const toy = three(10);
  for (let n = 0; n < 1_000; n++) await toy.take(`n${n}`);
  expect(vi.getTimerCount()).toBe(10);
});
