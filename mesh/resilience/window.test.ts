import { describe, expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { countWindow, timeWindow } from "./window.ts";

describe("a window of time", () => {
  /** The last second, in buckets of 100 ms. */
  function second() {
    const clock = manualClock();
    return { clock, window: timeWindow(1_000, clock) };
  }

  test("counts calls, and which of them failed and were slow", () => {
    const { window } = second();
    window.record(false, false);
    window.record(true, false);
    window.record(false, true);
    window.record(true, true);
    expect(window.counts()).toEqual({ calls: 4, failures: 2, slow: 2 });
  });

  test("forgets a call when its bucket is the eleventh", () => {
    const { clock, window } = second();
    clock.advance(99);
    window.record(true, true);
    clock.advance(900);
    expect(window.counts()).toEqual({ calls: 1, failures: 1, slow: 1 });
    clock.advance(1);
    expect(window.counts()).toEqual({ calls: 0, failures: 0, slow: 0 });
  });

  test("forgets one bucket after the other", () => {
    const { clock, window } = second();
    for (let bucket = 0; bucket < 10; bucket++) {
      for (let call = 0; call <= bucket; call++) window.record(call === 0, false);
      if (bucket < 9) clock.advance(100);
    }
    const left = Array.from({ length: 10 }, () => {
      clock.advance(100);
      const { calls, failures } = window.counts();
      return [calls, failures];
    });
    expect(left).toEqual([
      [54, 9],
      [52, 8],
      [49, 7],
      [45, 6],
      [40, 5],
      [34, 4],
      [27, 3],
      [19, 2],
      [10, 1],
      [0, 0],
    ]);
  });

  test("forgets all that is old though nothing happened since, not one bucket for each call (B15)", () => {
    const { clock, window } = second();
    for (let bucket = 0; bucket < 10; bucket++) {
      window.record(true, false);
      clock.advance(100);
    }
    clock.advance(3_600_000);
    window.record(true, false);
    expect(window.counts()).toEqual({ calls: 1, failures: 1, slow: 0 });
  });

  test("forgets exactly the buckets that have passed after a short pause", () => {
    const { clock, window } = second();
    for (let bucket = 0; bucket < 10; bucket++) {
      window.record(true, false);
      clock.advance(100);
    }
    clock.advance(400);
    window.record(false, false);
    // Of the ten buckets, five are left.
    expect(window.counts()).toEqual({ calls: 6, failures: 5, slow: 0 });
  });

  test("is empty when cleared, and counts on", () => {
    const { clock, window } = second();
    window.record(true, true);
    window.clear();
    expect(window.counts()).toEqual({ calls: 0, failures: 0, slow: 0 });
    clock.advance(50);
    window.record(false, true);
    expect(window.counts()).toEqual({ calls: 1, failures: 0, slow: 1 });
  });
});

describe("a window of calls", () => {
  test("counts the last so many", () => {
    const window = countWindow(3);
    const seen = ["FS", "F-", "--", "-S", "--"].map((call) => {
      window.record(call[0] === "F", call[1] === "S");
      return { ...window.counts() };
    });
    expect(seen).toEqual([
      { calls: 1, failures: 1, slow: 1 },
      { calls: 2, failures: 2, slow: 1 },
      { calls: 3, failures: 2, slow: 1 },
      { calls: 3, failures: 1, slow: 1 },
      { calls: 3, failures: 0, slow: 1 },
    ]);
  });

  test("is empty when cleared, and what was there before does not come back", () => {
    const window = countWindow(3);
    for (let call = 0; call < 5; call++) window.record(true, true);
    window.clear();
    expect(window.counts()).toEqual({ calls: 0, failures: 0, slow: 0 });
    for (let call = 0; call < 4; call++) window.record(false, false);
    expect(window.counts()).toEqual({ calls: 3, failures: 0, slow: 0 });
  });
});
