import { expect, test } from "vitest";
import { clampTimeout, readTimeoutMs } from "./timeout-header.ts";

test.each([
  ["2H", 7_200_000],
  ["3M", 180_000],
  ["4S", 4_000],
  ["5m", 5],
  ["6000u", 6],
  ["7000000n", 7],
  ["99999999H", 99_999_999 * 3_600_000],
])("grpc-timeout %s is %d ms", (header, ms) => {
  expect(readTimeoutMs({ "grpc-timeout": header })).toBeCloseTo(ms, 6);
});

test("connect-timeout-ms is a number of milliseconds of at most 10 digits", () => {
  expect(readTimeoutMs({ "connect-timeout-ms": "250" })).toBe(250);
  expect(readTimeoutMs({ "connect-timeout-ms": "9999999999" })).toBe(9_999_999_999);
});

test.each([
  {},
  { "grpc-timeout": "" },
  { "grpc-timeout": "5" },
  { "grpc-timeout": "5s" },
  { "grpc-timeout": "-5S" },
  { "grpc-timeout": "123456789S" },
  { "connect-timeout-ms": "" },
  { "connect-timeout-ms": "1.5" },
  { "connect-timeout-ms": "-1" },
  { "connect-timeout-ms": "12345678901" },
])("%j is none", (headers) => {
  expect(readTimeoutMs(headers)).toBeUndefined();
});

test.each([
  [{ "grpc-timeout": "1000H" }, { "grpc-timeout": "2147483S" }],
  [{ "connect-timeout-ms": "9999999999" }, { "connect-timeout-ms": "2147483647" }],
  [{ "connect-timeout-ms": "2147483648" }, { "connect-timeout-ms": "2147483647" }],
])("%j is more than a timer can keep, and is lowered", (headers, lowered) => {
  clampTimeout(headers);
  expect(headers).toEqual(lowered);
});

test.each([
  {},
  { "grpc-timeout": "596H" },
  { "grpc-timeout": "nonsense" },
  { "connect-timeout-ms": "2147483647" },
  { "connect-timeout-ms": "0" },
])("%j stays as it is", (headers) => {
  const given = { ...headers };
  clampTimeout(headers);
  expect(headers).toEqual(given);
});

test("a header of the other protocol hides none that is too large", () => {
  const headers = { "grpc-timeout": "1S", "connect-timeout-ms": "9999999999" };
  clampTimeout(headers);
  expect(headers).toEqual({ "grpc-timeout": "1S", "connect-timeout-ms": "2147483647" });
});
