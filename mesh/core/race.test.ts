import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { raceSignal } from "./race.ts";

const never = () => new Promise<never>(() => {});

test("the promise wins while the signal is quiet", async () => {
  const { signal } = new AbortController();
  expect(await raceSignal(Promise.resolve(7), signal)).toBe(7);
  await expect(raceSignal(Promise.reject(new Error("its own")), signal)).rejects.toThrow("its own");
});

test("the signal wins over a promise that does not end", async () => {
  const controller = new AbortController();
  const race = raceSignal(never(), controller.signal);
  controller.abort(new Error("enough"));
  await expect(race).rejects.toThrow("enough");
});

test("a signal that has aborted wins over a promise that is done", async () => {
  const aborted = AbortSignal.abort(new Error("before"));
  await expect(raceSignal(Promise.resolve(7), aborted)).rejects.toThrow("before");
});

test("what the loser fails with later is nobody's concern", async () => {
  const controller = new AbortController();
  const { promise, reject } = Promise.withResolvers<never>();
  const race = raceSignal(promise, controller.signal);
  controller.abort(new Error("enough"));
  await expect(race).rejects.toThrow("enough");
  // An unhandled rejection would fail the run.
  reject(new Error("too late"));
  await new Promise(setImmediate);
});

test("leaves no listener behind, whoever wins", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  await raceSignal(Promise.resolve(), signal);
  await raceSignal(Promise.reject(new Error("x")), signal).catch(() => {});
  expect(getEventListeners(signal, "abort")).toEqual([]);
});
