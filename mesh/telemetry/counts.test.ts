import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { counterSeries, histogramSeries } from "./counts.ts";

describe("a counter", () => {
  test("adds one, or as many as it is told", () => {
    const counter = counterSeries();
    counter.add();
    counter.add(2.5);
    expect(counter.read()).toBe(3.5);
  });

  test.each([-1, Number.NaN, Number.POSITIVE_INFINITY])("leaves %d out", (by) => {
    const counter = counterSeries();
    counter.add();
    counter.add(by);
    expect(counter.read()).toBe(1);
  });
});

describe("a histogram", () => {
  const countsOf = (...values: number[]) => {
    const histogram = histogramSeries([1, 2, 5]);
    for (const value of values) histogram.record(value);
    return histogram.read();
  };

  test("counts a boundary in the bucket below it, and what is above all of them in the last", () => {
    expect(countsOf(0, 1, 1.01, 2, 5, 5.01, 1e9).buckets.counts).toEqual([2, 2, 1, 2]);
  });

  test("knows the sum and the number of its values", () => {
    expect(countsOf(0.5, 1.5, 8)).toMatchObject({ sum: 10, count: 3 });
  });

  test.each([-0.1, Number.NaN, Number.POSITIVE_INFINITY])("leaves %d out", (value) => {
    expect(countsOf(1, value)).toMatchObject({ sum: 1, count: 1 });
  });

  test("that was read stays as it was while more is recorded", () => {
    const histogram = histogramSeries([1]);
    histogram.record(0.5);
    const read = histogram.read();
    histogram.record(0.5);
    expect(read).toEqual({ buckets: { boundaries: [1], counts: [1, 0] }, sum: 0.5, count: 1 });
  });

  test("puts any value where looking at each boundary in turn would put it", () => {
    const boundaries = fc.uniqueArray(fc.double({ min: 0, max: 100, noNaN: true }), { minLength: 1 });
    fc.assert(
      fc.property(boundaries, fc.double({ min: 0, max: 200, noNaN: true }), (unsorted, value) => {
        const sorted = unsorted.toSorted((a, b) => a - b);
        const histogram = histogramSeries(sorted);
        histogram.record(value);
        const first = sorted.findIndex((boundary) => value <= boundary);
        const expected = first === -1 ? sorted.length : first;
        expect(histogram.read().buckets.counts.indexOf(1)).toBe(expected);
      }),
    );
  });
});
