import { describe, expect, test } from "vitest";
import { childOf, formatTraceparent, parseTraceparent } from "./trace.ts";

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
