import { expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { serviceTimes } from "./service-time.ts";

const M = "toy.Toys/Move";

function after(count: number, tookMs: number) {
  const clock = manualClock();
  const times = serviceTimes(clock);
  for (let n = 0; n < count; n++) times.observe(M, tookMs);
  return { clock, times };
}

test("is three times what the method takes", () => {
  expect(after(10, 20).times.minUsefulMs(M, 10_000)).toBe(60);
});

test("is what it takes for a call that need not wait", () => {
  expect(after(10, 20).times.minAtOnceMs(M, 10_000)).toBe(20);
  expect(after(10, 8_000).times.minAtOnceMs(M, 10_000)).toBe(5_000);
});

test("is nothing while too few calls are known, and for a method that is not", () => {
  expect(after(9, 20).times.minUsefulMs(M, 10_000)).toBe(0);
  expect(after(10, 20).times.minUsefulMs("toy.Toys/Paint", 10_000)).toBe(0);
});

test("follows a change, a tenth of the way with each call", () => {
  const { times } = after(10, 10);
  times.observe(M, 110);
  expect(times.minUsefulMs(M, 10_000)).toBeCloseTo(60);
});

test("never calls half of the method's timeout too little", () => {
  expect(after(10, 4_000).times.minUsefulMs(M, 10_000)).toBe(5_000);
});

test("fades while no call shows anything else", () => {
  const { clock, times } = after(10, 20);
  clock.advance(999);
  expect(times.minUsefulMs(M, 10_000)).toBe(60);
  clock.advance(1_001);
  expect(times.minUsefulMs(M, 10_000)).toBe(15);
  times.observe(M, 20);
  expect(times.minUsefulMs(M, 10_000)).toBe(60);
});
