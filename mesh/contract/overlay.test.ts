import { create, equals } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { Code } from "../../gen/google/rpc/code_pb.ts";
import {
  Criticality,
  MethodPolicySchema,
  RetrySchema,
  ServicePolicySchema,
} from "../../gen/mesh/policy/v1/policy_pb.ts";
import { overlay } from "./overlay.ts";

const over = (...layers: Parameters<typeof create<typeof MethodPolicySchema>>[1][]) =>
  overlay(
    MethodPolicySchema,
    layers.map((layer) => create(MethodPolicySchema, layer)),
  );
const retry = (value: NonNullable<Parameters<typeof create<typeof RetrySchema>>[1]>) => ({
  case: "retry" as const,
  value: create(RetrySchema, value),
});

test("a later layer replaces the fields that it sets, and leaves the others", () => {
  const result = over(
    { criticality: Criticality.SHEDDABLE, idempotencyKeyField: "a", timeout: durationFromMs(100) },
    { idempotencyKeyField: "b" },
    { timeout: durationFromMs(300) },
  );
  expect(result).toMatchObject({ criticality: Criticality.SHEDDABLE, idempotencyKeyField: "b" });
  expect(result.timeout).toMatchObject({ seconds: 0n, nanos: 300_000_000 });
});

test("a message is laid over field by field", () => {
  const result = over(
    { redundancy: retry({ maxAttempts: 4, multiplier: 3 }) },
    { redundancy: retry({ maxAttempts: 2 }) },
  );
  expect(result.redundancy.value).toMatchObject({ maxAttempts: 2, multiplier: 3 });
});

test("a duration is replaced as a whole, so that 1.5 s under 2 s is 2 s", () => {
  const result = over({ timeout: durationFromMs(1_500) }, { timeout: durationFromMs(2_000) });
  expect(result.timeout).toMatchObject({ seconds: 2n, nanos: 0 });
});

test("a list is replaced as a whole", () => {
  const result = over(
    { redundancy: retry({ codes: [Code.UNAVAILABLE, Code.INTERNAL] }) },
    { redundancy: retry({ codes: [Code.UNKNOWN] }) },
  );
  expect(result.redundancy.value).toMatchObject({ codes: [Code.UNKNOWN] });
});

test("a hedge over a retry takes its place, and the other way round", () => {
  const hedge = { case: "hedge" as const, value: { maxAttempts: 2 } };
  expect(over({ redundancy: retry({ maxAttempts: 4 }) }, { redundancy: hedge }).redundancy.case).toBe(
    "hedge",
  );
  const back = over({ redundancy: hedge }, { redundancy: retry({ maxAttempts: 1 }) });
  expect(back.redundancy).toMatchObject({ case: "retry", value: { maxAttempts: 1 } });
});

test("the layers stay as they are, and share nothing with the result", () => {
  const below = create(MethodPolicySchema, {
    redundancy: retry({ maxAttempts: 4 }),
    timeout: durationFromMs(1),
  });
  const above = create(MethodPolicySchema, { redundancy: retry({ codes: [Code.UNKNOWN] }) });
  const before = [below, above].map((layer) => structuredClone(layer));
  const result = overlay(MethodPolicySchema, [below, undefined, above]);
  if (result.redundancy.case === "retry") result.redundancy.value.codes.push(Code.INTERNAL);
  if (result.timeout) result.timeout.nanos = 7;
  expect([below, above]).toEqual(before);
});

test("no layers are an empty message", () => {
  expect(equals(ServicePolicySchema, overlay(ServicePolicySchema, []), create(ServicePolicySchema))).toBe(
    true,
  );
});
