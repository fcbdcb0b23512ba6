import { expect, test } from "vitest";
import { childOf, formatTraceparent, type Trace } from "../core/trace.ts";
import type { SpanInit } from "../telemetry/spans.ts";
import { manualClock } from "../testing/clock.ts";
import { beginProcess, recordSend } from "./message-spans.ts";

type Ended = SpanInit & { readonly endedMs: number; readonly attributes: object; readonly failure?: string };

function recorder() {
  const ended: Ended[] = [];
  const startSpan = (init: SpanInit) => ({
    event() {},
    end(endedMs: number, attributes: object, failure?: string) {
      ended.push({ ...init, endedMs, attributes, ...(failure !== undefined && { failure }) });
    },
  });
  return { ended, startSpan, clock: manualClock() };
}

const work = childOf(undefined, () => true);
const piece = childOf(work);
const sent = (trace: Trace, origin: Trace, more: Record<string, string> = {}) => ({
  headers: {
    "ce-id": "e1",
    "ce-type": "toy.v1.Moved",
    "ce-partitionkey": "a%20key",
    "ce-keyseq": "7",
    traceparent: formatTraceparent(trace),
    "ce-traceparent": formatTraceparent(origin),
    ...more,
  },
  stream: "EVT_TOY",
  subject: "evt.toy.v1.p00.Moved",
});

test("the way of an event begins with its row, and is a piece of the work that published it", () => {
  const { ended, startSpan, clock } = recorder();
  clock.advance(5_000);
  recordSend(startSpan, clock, {
    ...sent(piece, work),
    createdAt: new Date(clock.date().getTime() - 300),
  });
  expect(ended).toMatchObject([
    {
      trace: { spanId: piece.spanId },
      parent: { spanId: work.spanId },
      name: "send toy.v1.Moved",
      kind: "producer",
      attributes: {
        "messaging.destination.name": "EVT_TOY",
        "messaging.message.id": "e1",
        "messaging.nats.message.key": "a key",
        "messaging.nats.message.key_seq": 7,
      },
    },
  ]);
  expect((ended[0] as Ended).endedMs - (ended[0] as Ended).startedMs).toBe(300);
});

test.each([
  ["of a trace that is not sampled", sent(childOf(childOf(undefined)), childOf(undefined))],
  ["that is a dead letter", sent(piece, work, { "dlq-reason": "permanent" })],
])("the way of a message %s is not recorded", (_, message) => {
  const { ended, startSpan, clock } = recorder();
  recordSend(startSpan, clock, { ...message, createdAt: clock.date() });
  expect(ended).toEqual([]);
});

test("an event that nobody asked for begins its trace", () => {
  const { ended, startSpan, clock } = recorder();
  recordSend(startSpan, clock, { ...sent(piece, piece), createdAt: clock.date() });
  expect(ended).toMatchObject([{ parent: undefined }]);
});

test("a handler's run is a piece of what was sent, and says what went wrong", () => {
  const { ended, startSpan, clock } = recorder();
  const trace = childOf(piece);
  const message = {
    trace,
    parent: piece,
    links: [],
    type: "toy.v1.Moved",
    eventId: "e1",
    key: "a key",
    keySeq: 7,
    stream: "EVT_TOY",
    consumer: "toy__moves",
    deliveries: 2,
  };
  beginProcess(startSpan, clock, message)();
  beginProcess(startSpan, clock, { ...message, key: "", keySeq: 0 })(new Error("no"));
  beginProcess(startSpan, clock, { ...message, trace: childOf(undefined) })();
  expect(ended).toMatchObject([
    {
      name: "process toy.v1.Moved",
      kind: "consumer",
      isRemote: true,
      parent: { spanId: piece.spanId },
      attributes: { "messaging.nats.message.key": "a key", "messaging.nats.message.key_seq": 7 },
    },
    { failure: "no", attributes: { "messaging.nats.delivery_count": 2 } },
  ]);
  expect(ended[0]).not.toHaveProperty("failure");
  // What has no key says nothing of one.
  expect(Object.keys((ended[1] as Ended).attributes).filter((name) => /key/.test(name))).toEqual([]);
});
