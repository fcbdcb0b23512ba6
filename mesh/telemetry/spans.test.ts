import { emptyResource } from "@opentelemetry/resources";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import { expect, test } from "vitest";
import type { Clock } from "../core/clock.ts";
import { systemClock } from "../core/clock.ts";
import { spanStarter } from "./spans.ts";
import { hrTime } from "./time.ts";

const trace = { traceId: "a".repeat(32), spanId: "b".repeat(16), flags: "01", state: "vendor=a1" };
const parent = { traceId: trace.traceId, spanId: "c".repeat(16), flags: "03" };

/** A machine whose clock is set by somebody. */
function machine() {
  let nowMs = 0;
  let setMs = 1_000_000;
  const clock: Clock = { ...systemClock, now: () => nowMs, date: () => new Date(setMs + nowMs) };
  const ended: ReadableSpan[] = [];
  const processor = {
    onStart() {},
    onEnd: (span: ReadableSpan) => void ended.push(span),
    forceFlush: async () => {},
    shutdown: async () => {},
  };
  const start = spanStarter(processor, emptyResource(), clock);
  return {
    ended,
    start,
    pass(ms: number) {
      nowMs += ms;
    },
    set(byMs: number) {
      setMs += byMs;
    },
  };
}

test("a span keeps the ids that it is given, with the flags and the state of its trace", () => {
  const { start, ended } = machine();
  start({ trace, parent, isRemote: true, name: "n", kind: "server", startedMs: 0 }).end(1, {});
  expect(ended[0]?.spanContext()).toMatchObject({
    traceId: trace.traceId,
    spanId: trace.spanId,
    traceFlags: 1,
  });
  expect(ended[0]?.spanContext().traceState?.serialize()).toBe("vendor=a1");
  expect(ended[0]?.parentSpanContext).toMatchObject({ spanId: parent.spanId, traceFlags: 3, isRemote: true });
});

test("a span links to the pieces of other traces that it comes of", () => {
  const { start, ended } = machine();
  const other = { traceId: "d".repeat(32), spanId: "e".repeat(16), flags: "01" };
  start({ trace, parent: undefined, links: [other], name: "n", kind: "consumer", startedMs: 0 }).end(1, {});
  expect(ended[0]?.parentSpanContext).toBeUndefined();
  expect(ended[0]?.links).toMatchObject([
    { context: { traceId: other.traceId, spanId: other.spanId, isRemote: true } },
  ]);
});

test("times are those of the day, to the fraction of a millisecond", () => {
  const { start, ended, pass } = machine();
  pass(10.25);
  const span = start({ trace, parent: undefined, name: "n", kind: "client", startedMs: 10.25 });
  pass(0.5);
  span.event("half way", { step: 1 });
  pass(0.5);
  span.end(11.25, {});
  expect(ended[0]).toMatchObject({
    startTime: hrTime(1_000_010.25),
    endTime: hrTime(1_000_011.25),
    duration: hrTime(1),
    events: [{ name: "half way", time: hrTime(1_000_010.75), attributes: { step: 1 } }],
  });
});

test("spans follow a machine's clock that is set", () => {
  const { start, ended, pass, set } = machine();
  set(5_000);
  pass(1);
  start({ trace, parent: undefined, name: "n", kind: "client", startedMs: 0 }).end(1, {});
  expect(ended[0]?.startTime).toEqual(hrTime(1_005_000));
});

test("a time is seconds and nanoseconds", () => {
  expect(hrTime(1_500.000_25)).toEqual([1, 500_000_250]);
  expect(hrTime(0)).toEqual([0, 0]);
});
