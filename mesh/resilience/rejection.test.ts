import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import { refusalOf } from "../testing/refusal.ts";
import { statusError } from "../testing/toy-calls.ts";
import { outcomeOf } from "./outcome.ts";
import { callerLeft, HEDGE_LOST, overdue, rejection, unusual } from "./rejection.ts";

describe("a rejection", () => {
  test.each([
    [MeshError.BREAKER_OPEN, "BREAKER_OPEN", Code.Unavailable],
    [MeshError.BULKHEAD_FULL, "BULKHEAD_FULL", Code.Unavailable],
    [MeshError.NO_ENDPOINT, "NO_ENDPOINT", Code.Unavailable],
    [MeshError.DEADLINE_BUDGET_EXHAUSTED, "DEADLINE_BUDGET_EXHAUSTED", Code.DeadlineExceeded],
  ])(
    "carries its reason's code, and ErrorInfo for whoever it is passed on to: %#",
    async (reason, name, code) => {
      const error = rejection(reason, "nothing was sent");
      expect(error).toMatchObject({ code, rawMessage: "nothing was sent" });
      expect(await refusalOf(Promise.reject(error))).toEqual({
        code: Code[code],
        reason: name,
        domain: "mesh.weft",
      });
    },
  );

  test("is known to be one of this process, and not a server's answer", () => {
    expect(outcomeOf(rejection(MeshError.BREAKER_OPEN, "open"))).toEqual({
      kind: "LOCAL_REJECT",
      code: Code.Unavailable,
      reason: "BREAKER_OPEN",
      pushbackMs: undefined,
      retryDelayMs: undefined,
      notProcessed: false,
    });
  });

  test("has no stack, and takes nobody else's", () => {
    const { stackTraceLimit } = Error;
    expect(rejection(MeshError.BREAKER_OPEN, "open").stack).not.toContain("\n    at ");
    expect(Error.stackTraceLimit).toBe(stackTraceLimit);
    expect(new Error("another").stack).toContain("\n    at ");
  });

  test("of a reason that there is not takes nobody else's stack either", () => {
    const { stackTraceLimit } = Error;
    expect(() => rejection(999 as MeshError, "no such reason")).toThrow();
    expect(Error.stackTraceLimit).toBe(stackTraceLimit);
  });
});

describe("a call whose signal has aborted", () => {
  test.each([
    ["without a reason", new AbortController()],
    ["with an error of the caller's own", new AbortController(), new Error("I am bored")],
    ["with what is no error", new AbortController(), "bored"],
    ["with Connect's CANCELLED", new AbortController(), new ConnectError("left", Code.Canceled)],
  ])("%s was left by its caller", (_, controller, reason?: unknown) => {
    controller.abort(reason);
    const error = callerLeft(controller.signal.reason);
    expect(error.code).toBe(Code.Canceled);
    expect(outcomeOf(error)).toMatchObject({ kind: "CALLER_CANCEL", code: Code.Canceled });
  });

  test("by a deadline of its caller took too long", () => {
    const error = callerLeft(new ConnectError("late", Code.DeadlineExceeded));
    expect(outcomeOf(error)).toMatchObject({ kind: "TOTAL_TIMEOUT", code: Code.DeadlineExceeded });
  });

  test.each([
    ["an attempt that another one has beaten", HEDGE_LOST, "HEDGE_LOST"],
    ["an attempt that took too long", overdue(false), "ATTEMPT_TIMEOUT"],
    ["an attempt that took longer than usual", unusual(), "ATTEMPT_TIMEOUT"],
    ["a call that took too long", overdue(true), "TOTAL_TIMEOUT"],
  ])("by a policy above is what that policy says: %s", (_, reason, kind) => {
    expect(callerLeft(reason)).toBe(reason);
    expect(outcomeOf(reason).kind).toBe(kind);
  });

  test("with another call's error is left all the same", () => {
    expect(outcomeOf(callerLeft(statusError(Code.Unavailable))).kind).toBe("CALLER_CANCEL");
  });
});

test.each([
  [true, "TOTAL_TIMEOUT", "DEADLINE_EXCEEDED"],
  [false, "ATTEMPT_TIMEOUT", "ATTEMPT_TIMEOUT"],
])("what is overdue says so; the whole call: %s", async (isTotal, kind, reason) => {
  const error = overdue(isTotal);
  expect(outcomeOf(error)).toMatchObject({ kind, code: Code.DeadlineExceeded, reason });
  expect(await refusalOf(Promise.reject(error))).toMatchObject({ code: "DeadlineExceeded", reason });
});
