import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { between, type CallRecord, failures, goodput, recovery, tally } from "./results.ts";

const call = (startedMs: number, tookMs: number, failure?: CallRecord["failure"]): CallRecord => ({
  client: 0,
  startedMs,
  tookMs,
  failure,
});
const SHED = { code: Code.Unavailable, reason: "SHED" };

test("percentiles are of the calls that were answered well, and are lengths that a call took", () => {
  const calls = Array.from({ length: 100 }, (_, i) => call(0, 100 - i));
  const { percentile, okShare, ok } = tally([...calls, call(0, 9_999, SHED)]);
  expect([0.001, 0.5, 0.99, 0.999].map(percentile)).toEqual([1, 50, 99, 100]);
  expect(ok).toBe(100);
  expect(okShare).toBeCloseTo(100 / 101);
});

test("nothing that was called is nothing that failed", () => {
  const { okShare, percentile } = tally([]);
  expect(okShare).toBe(1);
  expect(percentile(0.99)).toBeNaN();
});

test("a call belongs to the time in which it began, an answer to the time in which it came", () => {
  const calls = [call(900, 200), call(1_000, 100), call(1_900, 200), call(1_950, 10, SHED)];
  expect(between(calls, 1_000, 2_000)).toEqual(calls.slice(1));
  expect(goodput(calls, 1_000, 2_000)).toBe(2);
  expect(goodput(calls, 1_000, 3_000)).toBe(1.5);
});

test("failures are counted by reason, or by code where none was given", () => {
  const calls = [
    call(0, 1),
    call(0, 1, SHED),
    call(0, 1, SHED),
    call(0, 1, { code: Code.Internal, reason: undefined }),
  ];
  expect(failures(calls)).toEqual({ SHED: 2, "code 13": 1 });
});

/** A call in each tenth of a second from `fromMs` on; those that begin in a second of `bad` fail. */
function callsOf(seconds: number, bad: readonly number[], fromMs = 0): CallRecord[] {
  return Array.from({ length: seconds * 10 }, (_, i) =>
    call(fromMs + i * 100, 1, bad.includes(Math.floor(i / 10)) ? SHED : undefined),
  );
}

test("a service has recovered when five good seconds begin", () => {
  expect(recovery(callsOf(10, []), 0, 10_000)).toBe(0);
  expect(recovery(callsOf(10, [0, 1]), 0, 10_000)).toBe(2_000);
  // Four good seconds are not enough.
  expect(recovery(callsOf(10, [0, 5]), 0, 10_000)).toBe(Number.POSITIVE_INFINITY);
  expect(recovery(callsOf(11, [0, 5]), 0, 11_000)).toBe(6_000);
});

test("a second in which more than a hundredth fails is no good one", () => {
  const one = [...Array(100).keys()].map((i) => call(i, 1, i === 0 ? SHED : undefined));
  const two = [...Array(100).keys()].map((i) => call(i, 1, i < 2 ? SHED : undefined));
  const rest = callsOf(6, [], 1_000);
  expect(recovery([...one, ...rest], 0, 7_000)).toBe(0);
  expect(recovery([...two, ...rest], 0, 7_000)).toBe(1_000);
});

test("recovery is looked for after its beginning only", () => {
  expect(recovery(callsOf(30, [0, 1, 12]), 10_000, 30_000)).toBe(3_000);
});
