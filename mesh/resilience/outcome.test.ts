import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { DeliveryError } from "../core/delivery.ts";
import { statusError } from "../testing/toy-calls.ts";
import { duration } from "../testing/toy-client.ts";
import { outcomeOf, withOutcome } from "./outcome.ts";

const NOTHING_MORE = {
  reason: undefined,
  pushbackMs: undefined,
  retryDelayMs: undefined,
  notProcessed: false,
};

test("an answer with a code is that code, and nothing more", () => {
  expect(outcomeOf(statusError(Code.NotFound))).toEqual({
    kind: "STATUS",
    code: Code.NotFound,
    ...NOTHING_MORE,
  });
});

test.each([
  ["an error that is none of Connect's", new Error("a bug")],
  ["a text", "a bug"],
  ["nothing", undefined],
])("%s is UNKNOWN", (_, thrown) => {
  expect(outcomeOf(thrown)).toEqual({ kind: "STATUS", code: Code.Unknown, ...NOTHING_MORE });
});

test.each([
  ["NOT_SENT", true],
  ["REFUSED", true],
  ["LOST", false],
] as const)(
  "what failed below the protocol is UNAVAILABLE, whatever it is called: %s",
  (delivery, notProcessed) => {
    const cause = new DeliveryError(delivery, "no", new Error("ECONNRESET"));
    const error = new ConnectError("no", Code.Aborted, undefined, undefined, cause);
    expect(outcomeOf(error)).toEqual({
      kind: delivery,
      code: Code.Unavailable,
      ...NOTHING_MORE,
      notProcessed,
    });
  },
);

describe("the reason", () => {
  test("is that of the mesh's own domain", () => {
    expect(outcomeOf(statusError(Code.Unavailable, { reason: "SHED" }))).toMatchObject({ reason: "SHED" });
  });

  test("of another domain is no reason of ours, and no marker", () => {
    const info = create(ErrorInfoSchema, { reason: "SHED", domain: "shop.order.v1" });
    const error = new ConnectError("no", Code.Unavailable, undefined, [
      { desc: ErrorInfoSchema, value: info },
    ]);
    expect(outcomeOf(error)).toMatchObject({ reason: undefined, notProcessed: false });
  });

  test.each([
    ["SHED", Code.Unavailable, true],
    ["DRAINING", Code.Unavailable, true],
    ["NOT_PROCESSED", Code.Unavailable, true],
    ["SHED", Code.ResourceExhausted, true],
    ["SHED", Code.Internal, false],
    ["DEPENDENCY_UNAVAILABLE", Code.Unavailable, false],
    ["RETRY_EXHAUSTED_DOWNSTREAM", Code.Unavailable, false],
  ])("%s with code %i says that the server has not begun: %s", (reason, code, notProcessed) => {
    expect(outcomeOf(statusError(code, { reason }))).toMatchObject({ reason, notProcessed });
  });
});

describe("the pushback (B11)", () => {
  test.each([
    ["200", 200],
    ["0", 0],
    [" 15 ", 15],
    ["30000", 30_000],
    ["30001", -1],
    ["2147483647", -1],
    ["99999999999999999999", -1],
    ["-1", -1],
    ["-200", -1],
    ["", -1],
    ["abc", -1],
    ["5ms", -1],
    ["1.5", -1],
    ["+5", -1],
    ["0x10", -1],
    ["1e3", -1],
    ["100, 200", -1],
  ])("of %j is %d", (text, pushbackMs) => {
    const error = statusError(Code.Unavailable, { "grpc-retry-pushback-ms": text });
    expect(outcomeOf(error)).toMatchObject({ pushbackMs });
  });
});

test("RetryInfo says how long to wait at least", () => {
  const value = create(RetryInfoSchema, { retryDelay: duration(1_234) });
  const error = new ConnectError("later", Code.Unavailable, undefined, [{ desc: RetryInfoSchema, value }]);
  expect(outcomeOf(error)).toMatchObject({ retryDelayMs: 1_234 });
});

test("RetryInfo without a delay says nothing", () => {
  const value = create(RetryInfoSchema);
  const error = new ConnectError("later", Code.Unavailable, undefined, [{ desc: RetryInfoSchema, value }]);
  expect(outcomeOf(error)).toMatchObject({ retryDelayMs: undefined });
});

test("an error is read once", () => {
  const error = statusError(Code.Unavailable, { "grpc-retry-pushback-ms": "5" });
  const outcome = outcomeOf(error);
  error.metadata.set("grpc-retry-pushback-ms", "70");
  expect(outcomeOf(error)).toBe(outcome);
});

test("what is remembered with an error stands above what it says", () => {
  const error = statusError(Code.Unavailable, { reason: "SHED", "grpc-retry-pushback-ms": "5" });
  expect(withOutcome(error, { kind: "CALLER_CANCEL", code: Code.Canceled })).toBe(error);
  expect(outcomeOf(error)).toEqual({ kind: "CALLER_CANCEL", code: Code.Canceled, ...NOTHING_MORE });
});
