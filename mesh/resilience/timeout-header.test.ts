import { expect, test } from "vitest";
import { readTimeoutMs, writeTimeoutMs } from "./timeout-header.ts";

const grpc = (value: string) => new Headers({ "grpc-timeout": value });
const connect = (value: string) => new Headers({ "connect-timeout-ms": value });

test.each([
  ["4m", 4],
  ["2M", 120_000],
  ["99999999H", 99_999_999 * 3_600_000],
])("grpc-timeout %j is %d ms (D5)", (text, timeoutMs) => {
  expect(readTimeoutMs(grpc(text))).toBe(timeoutMs);
});

test.each(["", "5 S", "123456789m"])("grpc-timeout %j is none (D5)", (text) => {
  expect(readTimeoutMs(grpc(text))).toBeUndefined();
});

test.each([
  ["0", 0],
  ["1500", 1_500],
  ["9999999999", 9_999_999_999],
])("connect-timeout-ms %j is %d ms (D5)", (text, timeoutMs) => {
  expect(readTimeoutMs(connect(text))).toBe(timeoutMs);
});

test.each(["", "-1", "99.5", "10000000000", "abc", "1e3"])("connect-timeout-ms %j is none (D5)", (text) => {
  expect(readTimeoutMs(connect(text))).toBeUndefined();
});

test("a request without either header has no timeout", () => {
  expect(readTimeoutMs(new Headers())).toBeUndefined();
});

test("only the header that the request already has is written, anew for each attempt (B6)", () => {
  const ofGrpc = grpc("1000m");
  const ofConnect = connect("1000");
  const none = new Headers();
  for (const header of [ofGrpc, ofConnect, none]) writeTimeoutMs(header, 640.7);
  expect(Object.fromEntries(ofGrpc)).toEqual({ "grpc-timeout": "640m" });
  expect(Object.fromEntries(ofConnect)).toEqual({ "connect-timeout-ms": "640" });
  expect(Object.fromEntries(none)).toEqual({});
});

test("connect-timeout-ms has ten digits at most (B2)", () => {
  const header = connect("1");
  writeTimeoutMs(header, 1e12);
  expect(header.get("connect-timeout-ms")).toBe("9999999999");
});

test("no end is not written", () => {
  const header = grpc("5S");
  writeTimeoutMs(header, Number.POSITIVE_INFINITY);
  expect(header.get("grpc-timeout")).toBe("5S");
});
