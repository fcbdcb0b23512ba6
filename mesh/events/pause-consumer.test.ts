import { expect, test } from "vitest";
import { canPause } from "./pause-consumer.ts";

test.each([
  ["2.9.10", false],
  ["2.10.27", false],
  ["2.11.0", true],
  ["2.14.5", true],
  ["2.15.0-dev", true],
  ["3.0.0", true],
  ["", false],
])("nats-server %s can pause consumers: %s", (version, can) => {
  expect(canPause(version)).toBe(can);
});
