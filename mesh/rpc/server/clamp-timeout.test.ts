import { expect, test } from "vitest";
import { clampTimeout } from "./clamp-timeout.ts";

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
