import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { Code } from "../../gen/google/rpc/code_pb.ts";
import { Criticality } from "../../gen/mesh/policy/v1/policy_pb.ts";
import { methodNamed, toyContract } from "../testing/toy-calls.ts";
import { methodPolicy, servicePolicy } from "./policy.ts";
import { parseOverrides } from "./policy-overrides.ts";

const contract = toyContract({
  Read: { idempotency: "NO_SIDE_EFFECTS" },
  Write: {
    policy: {
      criticality: Criticality.SHEDDABLE_PLUS,
      idempotencyKeyField: "request_id",
      notProcessedCodes: [Code.ABORTED],
      dedupeTtl: durationFromMs(3_600_000),
    },
  },
});
const read = methodNamed(contract, "Read");
const write = methodNamed(contract, "Write");

const forMethod = (name: string, policy: object) =>
  JSON.stringify({ methods: { [`${contract.typeName}/${name}`]: policy } });
const forService = (policy: object) => JSON.stringify({ services: { [contract.typeName]: policy } });
const parse = (json: string) => parseOverrides(json, [contract]);

/** What is refused, line by line. */
function problems(json: string): string[] {
  try {
    parse(json);
  } catch (error) {
    return String(error).split("\n  - ").slice(1);
  }
  return [];
}

test("an empty file overrides nothing", () => {
  expect(methodPolicy(read, parse("{}"))).toEqual(methodPolicy(read));
});

test("what is tuning is taken over", () => {
  const overrides = parse(
    JSON.stringify({
      services: {
        [contract.typeName]: {
          breaker: { consecutive: 9, windowTime: "30s" },
          balancer: { policy: "BALANCING_ROUND_ROBIN" },
          defaults: { timeout: "2s" },
        },
      },
      methods: { [`${contract.typeName}/Read`]: { timeout: "0.5s", hedge: { fixed: "0.030s" } } },
    }),
  );
  expect(methodPolicy(read, overrides)).toMatchObject({ timeoutMs: 500, hedge: { delay: { fixedMs: 30 } } });
  expect(methodPolicy(write, overrides).timeoutMs).toBe(2_000);
  expect(servicePolicy(contract, overrides)).toMatchObject({
    balancer: "round_robin",
    breaker: { consecutive: 9, window: { timeMs: 30_000 } },
  });
});

describe("facts about a method may be tightened", () => {
  test.each([
    ["by a lower criticality", { criticality: "CRITICALITY_SHEDDABLE" }, { criticality: "SHEDDABLE" }],
    [
      "by the same criticality",
      { criticality: "CRITICALITY_SHEDDABLE_PLUS" },
      { criticality: "SHEDDABLE_PLUS" },
    ],
    ["by a longer memory", { dedupeTtl: "7200s" }, { dedupeTtlMs: 7_200_000 }],
    ["by no retry at all", { retry: { maxAttempts: 1 } }, { retry: { maxAttempts: 1 } }],
  ])("%s", (_, policy, tightened) => {
    expect(methodPolicy(write, parse(forMethod("Write", policy)))).toMatchObject(tightened);
  });

  test.each([
    [
      "a higher criticality",
      { criticality: "CRITICALITY_CRITICAL" },
      "criticality may be lowered here, not raised",
    ],
    ["a criticality that is none", { criticality: 9 }, "its criticality 9 is none"],
    ["another key", { idempotencyKeyField: "toy_id" }, "idempotency_key_field is a fact of the contract"],
    [
      "a guarantee that the server did not give",
      { notProcessedCodes: ["ABORTED", "UNKNOWN"] },
      "none can be added here",
    ],
    ["a shorter memory", { dedupeTtl: "3599s" }, "dedupe_ttl may be raised here, not lowered"],
  ])("but %s is refused", (_, policy, problem) => {
    const inMethod = problems(forMethod("Write", policy));
    expect(inMethod).toEqual([expect.stringContaining(problem)]);
    expect(inMethod[0]).toContain(`${contract.typeName}/Write: `);
    const ofService = problems(forService({ defaults: policy }));
    expect(ofService).toContainEqual(inMethod[0]);
  });

  test("a retry of codes is not enabled where the contract calls the method unsafe", () => {
    const unsafe = toyContract({ Get: {} });
    const json = JSON.stringify({
      methods: { [`${unsafe.typeName}/Get`]: { retry: { codes: ["UNAVAILABLE"] } } },
    });
    expect(() => parseOverrides(json, [unsafe])).toThrow(/retries codes, but is neither idempotent nor/);
  });
});

test("a method that does not exist is refused", () => {
  expect(problems(forMethod("Raed", { timeout: "1s" }))).toEqual([
    `${contract.typeName}/Raed: there is no such method`,
  ]);
});

test("services that are not known here are left for the processes that know them", () => {
  const json = JSON.stringify({
    services: { "shop.other.v1.OtherService": { bulkhead: { maxConcurrent: 3 } } },
    methods: { "shop.other.v1.OtherService/Get": { timeout: "1s" } },
  });
  expect(problems(json)).toEqual([]);
});

test("a name that can be neither of a method nor of a service is refused, whoever reads it", () => {
  const json = JSON.stringify({
    services: { "shop.other.v1.OtherService/Get": {} },
    methods: { [`${contract.typeName}.Read`]: { timeout: "1s" } },
  });
  expect(problems(json)).toEqual([
    expect.stringContaining(`${contract.typeName}.Read: methods are named package.Service/Method`),
    expect.stringContaining("shop.other.v1.OtherService/Get: methods are named"),
  ]);
});

test.each([
  ["no JSON", "{"],
  ["another shape", "[]"],
  ["an unknown field", forMethod("Read", { timeOut: "1s" })],
  ["a length without a unit", forMethod("Read", { timeout: "1" })],
  ["an unknown code", forMethod("Read", { retry: { codes: ["UNAVAILABEL"] } })],
])("a file with %s is refused", (_, json) => {
  expect(() => parse(json)).toThrow(
    /the policy file is not what mesh\.policy\.v1\.PolicyOverrides allows: ./,
  );
});

test("all problems are in one error", () => {
  const json = JSON.stringify({
    services: { [contract.typeName]: { breaker: { failureRatio: 2 } } },
    methods: {
      [`${contract.typeName}/Raed`]: {},
      [`${contract.typeName}/Read`]: { cache: { ttl: "0s" } },
      [`${contract.typeName}/Write`]: { idempotencyKeyField: "n" },
    },
  });
  expect(() => parse(json)).toThrow("the policy file has 5 problem(s):");
  expect(problems(json)).toEqual([
    expect.stringContaining("Raed: there is no such method"),
    expect.stringContaining("Write: its idempotency_key_field is a fact"),
    expect.stringContaining(`${contract.typeName}: the breaker's failure_ratio is 2`),
    expect.stringContaining("Read: its cache has no ttl"),
    expect.stringContaining('Write: its idempotency_key_field "n" is not a text field'),
  ]);
});
