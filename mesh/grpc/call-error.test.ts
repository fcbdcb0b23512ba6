import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { type Delivery, deliveryOf } from "../core/delivery.ts";
import { ErrorCode } from "../http2/error-code.ts";
import { StreamError } from "../http2/http2-error.ts";
import { canceled, deadlineExceeded, toCallError } from "./call-error.ts";

test.each<Delivery>(["NOT_SENT", "REFUSED", "LOST"])("what is %s is UNAVAILABLE, and says so", (delivery) => {
  const error = toCallError(new StreamError(ErrorCode.INTERNAL_ERROR, "why", delivery, new Error("below")));
  expect([error.code, error.rawMessage, deliveryOf(error)]).toEqual([Code.Unavailable, "why", delivery]);
});

test("what the peer ended has the code of its reset, and nothing says that it was not done", () => {
  const codes = [
    [ErrorCode.NO_ERROR, Code.Internal],
    [ErrorCode.CANCEL, Code.Canceled],
    [ErrorCode.ENHANCE_YOUR_CALM, Code.ResourceExhausted],
    [ErrorCode.INADEQUATE_SECURITY, Code.PermissionDenied],
  ] as const;
  for (const [http2, code] of codes) {
    const error = toCallError(new StreamError(http2, "why"));
    expect([error.code, deliveryOf(error)]).toEqual([code, undefined]);
  }
});

test("what the peer cancels when its time is up is DEADLINE_EXCEEDED, a moment before ours is, too", () => {
  const codeOf = (code: number, leftMs: number) =>
    toCallError(new StreamError(code, "why"), performance.now() + leftMs).code;
  expect(codeOf(ErrorCode.CANCEL, 1)).toBe(Code.DeadlineExceeded);
  expect(codeOf(ErrorCode.CANCEL, 60_000)).toBe(Code.Canceled);
  expect(codeOf(ErrorCode.NO_ERROR, 1)).toBe(Code.Internal);
});

test("leaving is CANCELED, whatever the reason, and a deadline is one", () => {
  expect(canceled(new DOMException("x", "AbortError")).code).toBe(Code.Canceled);
  expect(canceled(undefined).code).toBe(Code.Canceled);
  expect(canceled(deadlineExceeded()).code).toBe(Code.DeadlineExceeded);
});
