import { parseTimeout as connectParseTimeout } from "@connectrpc/connect/protocol-grpc";
import fc from "fast-check";
import { expect, test } from "vitest";
import { formatGrpcTimeout, parseGrpcTimeout } from "./grpc-timeout.ts";

test.each([
  ["1H", 3_600_000],
  ["2M", 120_000],
  ["3S", 3_000],
  ["4m", 4],
  ["5u", 0.005],
  ["6n", 0.000_006],
  ["0m", 0],
  ["00000010S", 10_000],
  ["99999999m", 99_999_999],
  ["99999999n", 99.999_999],
  ["99999999H", 99_999_999 * 3_600_000],
])("grpc-timeout %j is %d ms", (text, timeoutMs) => {
  expect(parseGrpcTimeout(text)).toBe(timeoutMs);
});

test.each([
  "",
  "m",
  "1",
  "5 S",
  " 5S",
  "5S ",
  "-1m",
  "+1m",
  "1.5S",
  "1e3m",
  "1s",
  "1h",
  "123456789m",
  "١m",
  "1mm",
])("grpc-timeout %j is malformed", (text) => {
  expect(parseGrpcTimeout(text)).toBeUndefined();
});

test.each([
  [Number.NEGATIVE_INFINITY, "0m"],
  [-1, "0m"],
  [0, "0m"],
  [Number.NaN, "0m"],
  [0.000_9, "0u"],
  [0.25, "250u"],
  [0.999_9, "999u"],
  [1, "1m"],
  [99.9, "99m"],
  [1_000, "1S"],
  [1_500, "1500m"],
  [90_000, "90S"],
  [120_000, "2M"],
  [3_600_000, "1H"],
  [5_400_000, "90M"],
  [99_999_999, "99999999m"],
  [100_000_001, "100000S"],
  [150_000_999, "2500M"],
  [150_001_999, "150001S"],
  [99_999_999_000, "99999999S"],
  [100_000_001_000, "1666666M"],
  [1e14, "27777777H"],
  [1e30, "99999999H"],
  [Number.POSITIVE_INFINITY, "99999999H"],
])("%d ms are written %s", (timeoutMs, text) => {
  expect(formatGrpcTimeout(timeoutMs)).toBe(text);
});

test("what is written is read as never more than it was, and less by a unit at most", () => {
  const anyMs = fc.oneof(fc.double({ min: 0, max: 3e11, noNaN: true }), fc.nat(200_000));
  fc.assert(
    fc.property(anyMs, (timeoutMs) => {
      const text = formatGrpcTimeout(timeoutMs);
      const readMs = parseGrpcTimeout(text) ?? Number.NaN;
      expect(readMs).toBeLessThanOrEqual(timeoutMs);
      const finest = timeoutMs < 1 ? 0.001 : timeoutMs < 1e8 ? 1 : timeoutMs < 1e11 ? 1_000 : 60_000;
      expect(timeoutMs - readMs).toBeLessThan(finest + 1e-9);
    }),
  );
});

test("what Connect reads is read alike", () => {
  const unit = fc.constantFrom("H", "M", "S", "m", "u", "n", "s", "");
  const digits = fc.oneof(fc.nat(999_999_999).map(String), fc.string({ maxLength: 9 }));
  fc.assert(
    fc.property(digits, unit, (digits, unit) => {
      const { timeoutMs } = connectParseTimeout(`${digits}${unit}`, Number.MAX_SAFE_INTEGER);
      const read = parseGrpcTimeout(`${digits}${unit}`);
      if (timeoutMs === undefined) expect(read).toBeUndefined();
      else expect(read).toBeCloseTo(timeoutMs, 9);
    }),
    { numRuns: 2_000 },
  );
});
