import { expect, test } from "vitest";
import { ErrorCode, errorName } from "./error-code.ts";
import { ConnectionError, resetByPeer, StreamError } from "./http2-error.ts";

test("codes have the RFC's names, and others their number", () => {
  expect(Object.values(ErrorCode).map(errorName)).toEqual(Object.keys(ErrorCode));
  expect(errorName(0x1f)).toBe("0x1f");
});

test("an error of a connection says its code's name", () => {
  const error = new ConnectionError(ErrorCode.PROTOCOL_ERROR, "a reason");
  expect([error.code, error.message, error.name]).toEqual([1, "PROTOCOL_ERROR: a reason", "ConnectionError"]);
});

test("of the peer's resets only REFUSED_STREAM says that it did not look", () => {
  expect(resetByPeer(ErrorCode.REFUSED_STREAM).delivery).toBe("REFUSED");
  for (const code of [ErrorCode.NO_ERROR, ErrorCode.CANCEL, ErrorCode.INTERNAL_ERROR, 0xff]) {
    expect(resetByPeer(code)).toMatchObject({ code, delivery: undefined });
  }
});

test("a cause is kept, and is not there without one", () => {
  const cause = new Error("below");
  expect(new StreamError(2, "x", "LOST", cause).cause).toBe(cause);
  expect("cause" in new StreamError(2, "x")).toBe(false);
});
