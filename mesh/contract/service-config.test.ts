import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { Code as RpcCode } from "../../gen/google/rpc/code_pb.ts";
import { Balancing } from "../../gen/mesh/policy/v1/policy_pb.ts";
import {
  type StatedPolicy,
  type StatedServicePolicy,
  type ToyMethod,
  toyContract,
} from "../testing/toy-calls.ts";
import { serviceConfig } from "./service-config.ts";

/** The service config of a contract of one method, and what it says of that. */
function configOf(policy: StatedPolicy, toy: Omit<ToyMethod, "policy"> = {}, service?: StatedServicePolicy) {
  const config = serviceConfig(toyContract({ Get: { ...toy, policy } }, service));
  const [method] = config.methodConfig;
  if (!method) throw new Error("the contract has a method");
  return { ...config, method };
}

const retry = (value: object): StatedPolicy => ({ redundancy: { case: "retry", value } });
const idempotent = { idempotency: "IDEMPOTENT" } as const;

test("a contract that states nothing gives its service's name, its balancing, a timeout and a bound of retries", () => {
  const service = toyContract({ Get: {} });
  expect(serviceConfig(service)).toEqual({
    loadBalancingConfig: [{ least_request_experimental: {} }, { round_robin: {} }],
    methodConfig: [{ name: [{ service: service.typeName, method: "Get" }], timeout: "10.000000000s" }],
    retryThrottling: { maxTokens: 10, tokenRatio: 0.2 },
    healthCheckConfig: { serviceName: service.typeName },
  });
});

test("a method that may be repeated is retried as its policy says, if that is more than once", () => {
  const backoff = { initialBackoff: durationFromMs(1_500), maxBackoff: durationFromMs(1), multiplier: 3 };
  const codes = [RpcCode.UNAVAILABLE, RpcCode.DEADLINE_EXCEEDED, RpcCode.CANCELLED];
  expect(configOf(retry({ maxAttempts: 4, codes, ...backoff }), idempotent).method.retryPolicy).toEqual({
    maxAttempts: 4,
    initialBackoff: "1.500000000s",
    maxBackoff: "0.001000000s",
    backoffMultiplier: 3,
    retryableStatusCodes: ["UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"],
  });
  expect(configOf(retry({ maxAttempts: 1 }), idempotent).method).not.toHaveProperty("retryPolicy");
  expect(configOf({}, idempotent).method.retryPolicy).toMatchObject({
    retryableStatusCodes: ["UNAVAILABLE"],
  });
});

test("one that may not is retried for the codes with which it is not begun, and for no others", () => {
  const policy = retry({ codes: [RpcCode.UNAVAILABLE] });
  expect(configOf(policy).method).not.toHaveProperty("retryPolicy");
  // Other clients cannot tell whether a request has its key.
  expect(configOf({ ...policy, idempotencyKeyField: "request_id" }).method).not.toHaveProperty("retryPolicy");
  const refused = configOf({ ...policy, notProcessedCodes: [RpcCode.RESOURCE_EXHAUSTED] });
  expect(refused.method.retryPolicy).toMatchObject({ retryableStatusCodes: ["RESOURCE_EXHAUSTED"] });
});

test("a hedge has its own delay, or half of the time, and is in place of a retry", () => {
  const timeout = durationFromMs(3_000);
  const hedged = (value: object) =>
    configOf({ timeout, redundancy: { case: "hedge", value } }, idempotent).method;
  const fixed = hedged({ maxAttempts: 3, delay: { case: "fixed", value: durationFromMs(40) } });
  expect(fixed.hedgingPolicy).toEqual({
    maxAttempts: 3,
    hedgingDelay: "0.040000000s",
    nonFatalStatusCodes: ["UNAVAILABLE"],
  });
  expect(fixed).not.toHaveProperty("retryPolicy");
  expect(hedged({}).hedgingPolicy).toMatchObject({ hedgingDelay: "1.500000000s" });
});

test("a stream without a timeout has none", () => {
  expect(configOf({}, { streams: "server" }).method).not.toHaveProperty("timeout");
});

test.each([
  [Balancing.LEAST_REQUEST, ["least_request_experimental", "round_robin"]],
  [Balancing.ROUND_ROBIN, ["round_robin"]],
  [Balancing.PICK_FIRST, ["pick_first"]],
])("balancing %d is one that others know, and one that all know", (policy, names) => {
  const { loadBalancingConfig } = configOf({}, {}, { balancer: { policy } });
  expect(loadBalancingConfig).toEqual(names.map((name) => ({ [name]: {} })));
});

test("a throttle is kept as it is, a budget gives its ratio", () => {
  const throttle = { case: "retryThrottle" as const, value: { maxTokens: 100, tokenRatio: 0.5 } };
  expect(configOf({}, {}, { gate: throttle }).retryThrottling).toEqual({ maxTokens: 100, tokenRatio: 0.5 });
  const budget = { case: "retryBudget" as const, value: { ratio: 0.1 } };
  expect(configOf({}, {}, { gate: budget }).retryThrottling).toMatchObject({ tokenRatio: 0.1 });
});
