import { expect, test } from "vitest";
import { MAX_SERIES, seriesSet } from "./series.ts";

const counted = (keeps: (name: string) => boolean = () => true) => {
  let made = 0;
  return seriesSet(() => ++made, keeps);
};

test("the same attributes are the same series, in whatever order they come", () => {
  const set = counted();
  expect(set.at({ a: 1, b: "x" })).toBe(set.at({ b: "x", a: 1 }));
  expect(set.at({ a: 2, b: "x" })).not.toBe(set.at({ a: 1, b: "x" }));
  expect([...set.entries()]).toEqual([
    [{ a: 1, b: "x" }, 1],
    [{ a: 2, b: "x" }, 2],
  ]);
});

test("an attribute without a value is none", () => {
  const set = counted();
  expect(set.at({ a: 1, b: undefined })).toBe(set.at({ a: 1 }));
  expect(set.at({ a: "undefined" })).not.toBe(set.at({ a: undefined }));
});

test("an attribute that is not kept tells no series apart", () => {
  const set = counted((name) => name !== "endpoint");
  expect(set.at({ endpoint: "one", target: "t" })).toBe(set.at({ target: "t", endpoint: "two" }));
  expect([...set.entries()]).toEqual([[{ target: "t" }, 1]]);
});

test("there are never more series than allowed: the rest is one, which says so", () => {
  const set = counted();
  for (let i = 0; i < MAX_SERIES - 1; i++) set.at({ i });
  const overflow = set.at({ i: "one too many" });
  expect(set.at({ i: "another" })).toBe(overflow);
  expect(set.at({ i: 7 })).not.toBe(overflow);
  const entries = [...set.entries()];
  expect(entries).toHaveLength(MAX_SERIES);
  expect(entries.at(-1)).toEqual([{ "otel.metric.overflow": true }, overflow]);
});

test("series that were there before the limit was reached are still found in any order of their attributes", () => {
  const set = counted();
  const first = set.at({ a: 0, b: 0 });
  for (let i = 1; i < MAX_SERIES + 10; i++) set.at({ a: i, b: i });
  expect(set.at({ b: 0, a: 0 })).toBe(first);
});
