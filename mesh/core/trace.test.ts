import { describe, expect, test } from "vitest";
import { childOf, formatTraceparent, isSampled, parseTraceparent } from "./trace.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const spanId = "b7ad6b7169203331";

test("a header that is read and written is the same", () => {
  const header = `00-${traceId}-${spanId}-01`;
  expect(parseTraceparent(header)).toEqual({ traceId, spanId, flags: "01" });
  expect(formatTraceparent({ traceId, spanId, flags: "01" })).toBe(header);
});

test("a version to come may say more, and is read for what is known", () => {
  expect(parseTraceparent(`cc-${traceId}-${spanId}-01-more`)).toEqual({ traceId, spanId, flags: "01" });
});

describe("a header is none", () => {
  test.each([
    undefined,
    null,
    "",
    "nonsense",
    `00-${traceId}-${spanId}`,
    `00-${traceId}-${spanId}-01-more`,
    `ff-${traceId}-${spanId}-01`,
    `00-${"0".repeat(32)}-${spanId}-01`,
    `00-${traceId}-${"0".repeat(16)}-01`,
    `00-${traceId.toUpperCase()}-${spanId}-01`,
    `00-${traceId.slice(1)}-${spanId}-01`,
    ` 00-${traceId}-${spanId}-01`,
  ])("%s", (header) => {
    expect(parseTraceparent(header)).toBeUndefined();
  });
});

test("a child belongs to its parent's trace, and keeps whether it is sampled", () => {
  const child = childOf({ traceId, spanId, flags: "01" });
  expect(child).toMatchObject({ traceId, flags: "01" });
  expect(child.spanId).not.toBe(spanId);
  expect(parseTraceparent(formatTraceparent(child))).toEqual(child);
});

test("without a parent a trace begins, each time another", () => {
  const [one, other] = [childOf(undefined), childOf(undefined)];
  expect(parseTraceparent(formatTraceparent(one))).toEqual(one);
  expect(one.traceId).not.toBe(other.traceId);
});

test("the state beside a header is passed on to every piece, as it is", () => {
  const header = `00-${traceId}-${spanId}-01`;
  const state = "vendor=a1:b2,other=c=d";
  const parsed = parseTraceparent(header, state);
  expect(parsed).toEqual({ traceId, spanId, flags: "01", state });
  expect(childOf(childOf(parsed)).state).toBe(state);
});

test("a state is dropped if it is empty, longer than W3C has us pass on, or beside a header that is none", () => {
  const header = `00-${traceId}-${spanId}-01`;
  expect(parseTraceparent(header, `a=${"b".repeat(510)}`)).toHaveProperty("state");
  for (const state of ["", null, undefined, `a=${"b".repeat(511)}`]) {
    expect(parseTraceparent(header, state)).not.toHaveProperty("state");
  }
  expect(parseTraceparent("nonsense", "a=b")).toBeUndefined();
  expect(childOf(undefined)).not.toHaveProperty("state");
});

describe("a sampler", () => {
  const parent = { traceId, spanId, flags: "00" };

  test("decides the last bit of the flags, and no other", () => {
    const flagsOf = (flags: string, sampled: boolean) => childOf({ ...parent, flags }, () => sampled).flags;
    expect([flagsOf("00", true), flagsOf("01", true), flagsOf("02", true)]).toEqual(["01", "01", "03"]);
    expect([flagsOf("00", false), flagsOf("01", false), flagsOf("ff", false)]).toEqual(["00", "00", "fe"]);
  });

  test("is told the id of the trace, and whose child it is", () => {
    const asked: unknown[][] = [];
    const sampler = (...question: unknown[]) => asked.push(question) > 0;
    const child = childOf(parent, sampler);
    const first = childOf(undefined, sampler);
    expect(asked).toEqual([
      [child.traceId, parent],
      [first.traceId, undefined],
    ]);
    expect([isSampled(child), isSampled(first)]).toEqual([true, true]);
  });
});

test.each([
  ["00", false],
  ["01", true],
  ["02", false],
  ["0b", true],
  ["fe", false],
  ["ff", true],
])("flags %s say sampled: %s", (flags, sampled) => {
  expect(isSampled({ traceId, spanId, flags })).toBe(sampled);
});

test("ids never repeat, though random bytes are fetched by the page", () => {
  const traces = Array.from({ length: 2_000 }, () => childOf(undefined));
  expect(new Set(traces.map((trace) => trace.spanId)).size).toBe(2_000);
  expect(new Set(traces.map((trace) => trace.traceId)).size).toBe(2_000);
  for (const trace of traces) expect(parseTraceparent(formatTraceparent(trace))).toEqual(trace);
});
