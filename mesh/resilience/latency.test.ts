import { describe, expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { random } from "../testing/random.ts";
import { latencies } from "./latency.ts";

function measured() {
  const clock = manualClock();
  const observed = latencies(clock);
  const record = (tookMs: number, times = 1) => {
    for (let n = 0; n < times; n++) observed.record(tookMs);
  };
  return { clock, observed, record };
}

/** Expects a latency to within 5 percent. */
function expectAbout(found: number | undefined, expectedMs: number): void {
  expect(found).toBeGreaterThanOrEqual(expectedMs * 0.95);
  expect(found).toBeLessThanOrEqual(expectedMs * 1.05);
}

test("nothing is said before a hundred calls", () => {
  const { observed, record } = measured();
  record(10, 99);
  expect(observed.percentile(0.5)).toBeUndefined();
  record(10);
  expectAbout(observed.percentile(0.5), 10);
});

test.each([
  [0.5, 50],
  [0.9, 90],
  [0.95, 95],
  [0.99, 99],
  [1, 100],
])("the percentile %d of 1 ms to 100 ms is %i ms to within 5 percent", (p, expectedMs) => {
  const { observed, record } = measured();
  for (let tookMs = 1; tookMs <= 100; tookMs++) record(tookMs);
  expectAbout(observed.percentile(p), expectedMs);
});

test("one percent of slow calls is beyond the p99, and two percent are not", () => {
  const { clock, observed, record } = measured();
  record(10, 99);
  record(500);
  expectAbout(observed.percentile(0.99), 10);
  record(10, 99);
  record(500, 3);
  clock.advance(1_000);
  expectAbout(observed.percentile(0.99), 500);
});

test("percentiles are those of a sorted list to within 5 percent, whatever the latencies", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const { observed, record } = measured();
    const chance = random(seed);
    const count = 100 + chance.below(2_000);
    // From a tenth of a millisecond to a minute and a half, each size as likely as another.
    const all = Array.from({ length: count }, () => 0.1 * 10 ** (chance.next() * 5.95));
    for (const tookMs of all) record(tookMs);
    const sorted = all.toSorted((a, b) => a - b);
    for (const p of [0.1, 0.5, 0.9, 0.99, 0.999, 1]) {
      expectAbout(observed.percentile(p), sorted[Math.ceil(p * count) - 1] ?? Number.NaN);
    }
  }
});

test("what is shorter than a tenth of a millisecond, or longer than two minutes, is about that", () => {
  const { clock, observed, record } = measured();
  record(0, 100);
  expectAbout(observed.percentile(0.99), 0.1);
  record(10_000_000, 1_000);
  clock.advance(1_000);
  expectAbout(observed.percentile(0.99), 140_000);
});

describe("what was a minute ago", () => {
  test("is forgotten, ten seconds at a time", () => {
    const { clock, observed, record } = measured();
    for (let slice = 0; slice < 6; slice++) {
      record(2 ** slice, 100);
      clock.advance(10_000);
    }
    // The first slice has left; the lowest percentile is of the second.
    expectAbout(observed.percentile(0.001), 2);
    clock.advance(10_000);
    expectAbout(observed.percentile(0.001), 4);
    clock.advance(29_999);
    expectAbout(observed.percentile(0.001), 16);
  });

  test("counts no more: after a pause a hundred new calls are needed", () => {
    const { clock, observed, record } = measured();
    record(500, 1_000);
    clock.advance(60_000);
    record(10, 99);
    expect(observed.percentile(0.99)).toBeUndefined();
    record(10);
    expectAbout(observed.percentile(0.99), 10);
  });

  test("is forgotten once: minute after minute only the last one counts", () => {
    const { clock, observed, record } = measured();
    for (const tookMs of [500, 10, 300, 20]) {
      record(tookMs, 100);
      expectAbout(observed.percentile(0.01), tookMs);
      expectAbout(observed.percentile(1), tookMs);
      clock.advance(60_000);
    }
  });

  test("is forgotten after an hour too", () => {
    const { clock, observed, record } = measured();
    for (let slice = 0; slice < 6; slice++) {
      record(500, 100);
      clock.advance(10_000);
    }
    clock.advance(3_600_000);
    record(10, 100);
    expectAbout(observed.percentile(1), 10);
  });
});

test("an answer is kept for a second, each percentile's own", () => {
  const { clock, observed, record } = measured();
  record(10, 100);
  expectAbout(observed.percentile(0.99), 10);
  record(100, 1_000);
  clock.advance(999);
  expectAbout(observed.percentile(0.99), 10);
  expectAbout(observed.percentile(0.01), 10);
  expectAbout(observed.percentile(0.98), 100);
  clock.advance(1);
  expectAbout(observed.percentile(0.99), 100);
});
