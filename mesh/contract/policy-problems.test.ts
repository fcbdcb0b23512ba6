import { create, hasOption } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { Code } from "../../gen/google/rpc/code_pb.ts";
import { MethodPolicySchema, method as methodOption } from "../../gen/mesh/policy/v1/policy_pb.ts";
import { generatedFiles } from "../testing/shop-contracts.ts";
import {
  type StatedPolicy,
  type StatedServicePolicy,
  type ToyMethod,
  toyContract,
  toyMethod,
} from "../testing/toy-calls.ts";
import { methodName } from "./policy.ts";
import { assertPolicies, policyProblems } from "./policy-problems.ts";

const ms = durationFromMs;
const retry = (value: object): StatedPolicy => ({ redundancy: { case: "retry", value } });
const hedge = (value: object): StatedPolicy => ({ redundancy: { case: "hedge", value } });
const reading: ToyMethod = { idempotency: "NO_SIDE_EFFECTS" };
const repeatable: ToyMethod = { idempotency: "IDEMPOTENT" };

describe("a method is refused", () => {
  test.each<[string, StatedPolicy, ToyMethod, RegExp]>([
    [
      "hedged, but unsafe (H6)",
      hedge({}),
      {},
      /hedged, but a second attempt .* only safe if it is idempotent/,
    ],
    [
      "hedged with a key only",
      { ...hedge({}), idempotencyKeyField: "request_id" },
      {},
      /hedged, but a second attempt/,
    ],
    ["hedged, but a stream", hedge({}), { ...reading, streams: "server" }, /hedged, but it is a stream/],
    ["hedged with 1 attempt", hedge({ maxAttempts: 1 }), reading, /hedged with 1 attempts; 2 to 5/],
    ["hedged with 6 attempts", hedge({ maxAttempts: 6 }), reading, /hedged with 6 attempts; 2 to 5/],
    [
      "hedged after a percentile of 99",
      hedge({ delay: { case: "percentile", value: 99 } }),
      reading,
      /percentile is 99; it must be between 0 and 1/,
    ],
    [
      "hedged before it is sent",
      hedge({ delay: { case: "fixed", value: ms(-1) } }),
      reading,
      /hedging delay is negative/,
    ],
    ["hedged with more than every call", hedge({ maxExtraLoad: 1.5 }), reading, /may add 1.5 of the calls/],
    ["hedged with less than nothing", hedge({ maxExtraLoad: -0.5 }), reading, /may add -0.5 of the calls/],
    [
      "with an attempt longer than the call",
      { ...retry({ attemptTimeout: ms(3_001) }), timeout: ms(3_000) },
      repeatable,
      /attempt_timeout of 3001 ms is longer than its timeout of 3000 ms/,
    ],
    [
      "with an attempt of no time",
      retry({ attemptTimeout: ms(0) }),
      repeatable,
      /attempt_timeout must be longer than nothing/,
    ],
    [
      "with two attempts that the breaker's window cannot hold",
      retry({ attemptTimeout: ms(5_001) }),
      repeatable,
      /window of 10000 ms is shorter than two attempt_timeouts of 5001 ms/,
    ],
    ["with 6 attempts", retry({ maxAttempts: 6 }), repeatable, /asks for 6 attempts; at most 5/],
    [
      "with a longest wait below its first",
      retry({ initialBackoff: ms(500), maxBackoff: ms(100) }),
      repeatable,
      /max_backoff is shorter than its initial_backoff/,
    ],
    ["with a negative wait", retry({ initialBackoff: ms(-1) }), repeatable, /initial_backoff is negative/],
    [
      "with shrinking waits",
      retry({ multiplier: 0.5 }),
      repeatable,
      /multiplier 0.5 would shorten the waits/,
    ],
    [
      "retrying codes, but unsafe",
      retry({ codes: [Code.UNAVAILABLE] }),
      {},
      /retries codes, but is neither idempotent nor/,
    ],
    [
      "cached, but with side effects",
      { cache: { ttl: ms(1) } },
      repeatable,
      /only a method with NO_SIDE_EFFECTS/,
    ],
    [
      "cached, but a stream",
      { cache: { ttl: ms(1) } },
      { ...reading, streams: "server" },
      /cached, but it is a stream/,
    ],
    ["cached for no time", { cache: { staleIfError: ms(1_000) } }, reading, /its cache has no ttl/],
    [
      "cached for a negative time",
      { cache: { ttl: ms(1), staleIfError: ms(-1) } },
      reading,
      /keeps something for a negative time/,
    ],
    [
      "keeping NOT_FOUND for 2 seconds",
      { cache: { ttl: ms(1), negativeTtl: ms(2_000) } },
      reading,
      /keeps NOT_FOUND for longer than a second/,
    ],
    ["limited to no calls", { rateLimit: {} }, {}, /its rate_limit has no max_calls/],
    [
      "limited within less than a second",
      { rateLimit: { maxCalls: 1, window: ms(999) } },
      {},
      /its rate_limit has a window of 999 ms; a second to a day can be/,
    ],
    [
      "limited within more than a day",
      { rateLimit: { maxCalls: 1, window: ms(86_400_001) } },
      {},
      /its rate_limit has a window of 86400001 ms/,
    ],
    [
      "with a fallback that has no time",
      { fallback: { allowed: true, timeout: ms(0) } },
      reading,
      /its fallback's timeout must be longer than nothing/,
    ],
    [
      "with a fallback that has more time than the call",
      { timeout: ms(100), fallback: { allowed: true, timeout: ms(101) } },
      reading,
      /its fallback's timeout of 101 ms is longer than its timeout of 100 ms/,
    ],
    [
      "hedged when its time is over",
      { timeout: ms(100), ...hedge({ delay: { case: "fixed", value: ms(100) } }) },
      reading,
      /its hedging delay of 100 ms is not shorter than its timeout of 100 ms/,
    ],
    ["with no time", { timeout: ms(0) }, {}, /its timeout must be longer than nothing/],
    [
      "with no silence",
      { idleTimeout: ms(0) },
      { streams: "both" },
      /idle_timeout must be longer than nothing/,
    ],
    [
      "with more time than its server grants",
      { timeout: ms(61_000) },
      {},
      /timeout of 61000 ms is longer than its max_timeout of 60000 ms/,
    ],
    [
      "with a key that is not there",
      { idempotencyKeyField: "order_id" },
      {},
      /idempotency_key_field "order_id" is not a text field of test\.policies\d+\.v1\.ToyRequest/,
    ],
    [
      "with a key that is no text",
      { idempotencyKeyField: "n" },
      {},
      /idempotency_key_field "n" is not a text field/,
    ],
    [
      "forgetting keys before the call is over",
      { idempotencyKeyField: "request_id", dedupeTtl: ms(30_000) },
      {},
      /dedupe_ttl of 30000 ms is shorter than its max_timeout of 60000 ms/,
    ],
  ])("%s", (_, policy, toy, problem) => {
    const { parent } = toyMethod(policy, toy);
    const found = policyProblems(parent);
    expect(found).toEqual([expect.stringMatching(problem)]);
    expect(found[0]?.startsWith(`${parent.typeName}/Get: `)).toBe(true);
  });
});

describe("a method is accepted", () => {
  test.each<[string, StatedPolicy, ToyMethod]>([
    ["that says nothing", {}, {}],
    ["that retries what was not processed, though unsafe", retry({ maxAttempts: 3 }), {}],
    ["that retries codes with a key", { ...retry({ codes: [14] }), idempotencyKeyField: "request_id" }, {}],
    [
      "that retries codes which mean that nothing was done",
      { ...retry({ codes: [14] }), notProcessedCodes: [10] },
      {},
    ],
    ["with 5 attempts of half the window", retry({ maxAttempts: 5, attemptTimeout: ms(5_000) }), repeatable],
    ["hedged 5 times", hedge({ maxAttempts: 5, delay: { case: "fixed", value: ms(0) } }), reading],
    [
      "with a fallback that has as much time as the call, or a default that is longer",
      { timeout: ms(40), fallback: { allowed: true } },
      reading,
    ],
    ["cached, with NOT_FOUND for a second", { cache: { ttl: ms(1), negativeTtl: ms(1_000) } }, reading],
    ["limited to a call a day", { rateLimit: { maxCalls: 1, window: ms(86_400_000) } }, {}],
    ["as a stream longer than unary calls may be", { timeout: ms(3_600_000) }, { streams: "server" }],
  ])("%s", (_, policy, toy) => {
    expect(policyProblems(toyMethod(policy, toy).parent)).toEqual([]);
  });
});

describe("a service is refused", () => {
  test.each<[string, StatedServicePolicy, RegExp]>([
    ["with a share of 120 %", { breaker: { failureRatio: 1.2 } }, /failure_ratio is 1.2; a share/],
    ["with a negative share", { breaker: { failureRatio: -0.5 } }, /failure_ratio is -0.5; a share/],
    [
      "with a slow share of 120 %",
      { breaker: { slowRatio: 1.2, slowCall: ms(1) } },
      /slow_ratio is 1.2; a share/,
    ],
    ["with slow calls that nothing defines", { breaker: { slowRatio: 0.5 } }, /slow_ratio, but no slow_call/],
    [
      "with a window of no time",
      { breaker: { window: { case: "windowTime", value: ms(0) } } },
      /window holds nothing/,
    ],
    [
      "with a window of no calls",
      { breaker: { window: { case: "windowCalls", value: 0 } } },
      /window holds nothing/,
    ],
    [
      "with an open time of nothing",
      { breaker: { openBase: ms(0) } },
      /open_base must be longer than nothing/,
    ],
    [
      "with a longest open time below its first",
      { breaker: { openBase: ms(5_000), openMax: ms(1_000) } },
      /open_max is shorter than its open_base/,
    ],
    [
      "with more retries than calls",
      { gate: { case: "retryBudget", value: { ratio: 2 } } },
      /more than one retry per call/,
    ],
    [
      "with a negative budget",
      { gate: { case: "retryBudget", value: { ratio: -0.2 } } },
      /budget's ratio is negative/,
    ],
    [
      "with a negative floor",
      { gate: { case: "retryBudget", value: { minPerSecond: -1 } } },
      /min_per_second is negative/,
    ],
    [
      "with a budget of no time",
      { gate: { case: "retryBudget", value: { ttl: ms(0) } } },
      /ttl must be longer than nothing/,
    ],
    [
      "with a negative bucket",
      { gate: { case: "retryThrottle", value: { maxTokens: -1 } } },
      /max_tokens are negative/,
    ],
    [
      "with a bucket that empties by success",
      { gate: { case: "retryThrottle", value: { tokenRatio: -1 } } },
      /token_ratio is negative/,
    ],
    ["with a negative slow start", { balancer: { slowStart: ms(-1) } }, /slow_start is negative/],
  ])("%s", (_, service, problem) => {
    const { parent } = toyMethod({}, { service });
    const found = policyProblems(parent);
    expect(found).toEqual([expect.stringMatching(problem)]);
    expect(found[0]?.startsWith(`${parent.typeName}: `)).toBe(true);
  });
});

test("what a deployment sets is checked with the contract", () => {
  const method = toyMethod({ timeout: ms(1_000) });
  const slower = create(MethodPolicySchema, retry({ attemptTimeout: ms(2_000) }));
  const overrides = { services: {}, methods: { [methodName(method)]: slower } };
  expect(policyProblems(method.parent)).toEqual([]);
  expect(policyProblems(method.parent, overrides)).toEqual([
    expect.stringContaining("attempt_timeout of 2000 ms is longer than its timeout of 1000 ms"),
  ]);
});

test("all problems of all services are in one error", () => {
  const [one, other] = [
    toyContract({ A: { policy: hedge({}) }, B: { policy: { timeout: ms(0) } }, Fine: {} }),
    toyContract({ C: { policy: { cache: { ttl: ms(1) } } } }, { breaker: { failureRatio: 3 } }),
  ];
  let text = "";
  try {
    assertPolicies([one, other]);
  } catch (error) {
    text = String(error);
  }
  expect(text).toContain("the contract has 4 call policy problem(s):");
  for (const name of [`${one.typeName}/A`, `${one.typeName}/B`, other.typeName, `${other.typeName}/C`]) {
    expect(text).toContain(`\n  - ${name}: `);
  }
  expect(text).not.toContain("Fine");
});

test("services without problems are asserted in silence", () => {
  expect(() => assertPolicies([toyContract({ A: {}, B: {} })])).not.toThrow();
});

const ofShop = (await generatedFiles("shop", "_service_pb.ts")).flatMap((file) => file.services);
const methods = ofShop.flatMap((service) => service.methods);

test("the shop has the services that are checked here", () => {
  expect(ofShop.map(({ name }) => name).sort()).toEqual([
    "AuditService",
    "CustomerService",
    "NotificationService",
    "OrderService",
    "PaymentService",
    "ProductService",
    "ReviewService",
    "ReviewService",
    "StorefrontService",
  ]);
});

test.each(methods.map((method) => [methodName(method), method] as const))(
  "%s states its own policy",
  (_, method) => {
    expect(method.proto.options && hasOption(method, methodOption)).toBe(true);
  },
);

test("no policy of the shop has a problem", () => {
  expect(ofShop.flatMap((service) => policyProblems(service))).toEqual([]);
});
