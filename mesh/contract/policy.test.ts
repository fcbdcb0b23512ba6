import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { Code as RpcCode } from "../../gen/google/rpc/code_pb.ts";
import {
  Balancing,
  BulkheadSchema,
  Criticality,
  Jitter,
  MethodPolicySchema,
  ServicePolicySchema,
} from "../../gen/mesh/policy/v1/policy_pb.ts";
import { methodNamed, type StatedPolicy, toyContract, toyMethod } from "../testing/toy-calls.ts";
import { methodName, methodPolicy, type Overrides, policies, servicePolicy } from "./policy.ts";

const stated = (policy: StatedPolicy) => create(MethodPolicySchema, policy);
const seconds = (count: number) => durationFromMs(count * 1_000);
const retry = (value: object): StatedPolicy => ({ redundancy: { case: "retry", value } });
const hedge = (value: object): StatedPolicy => ({ redundancy: { case: "hedge", value } });

describe("the defaults", () => {
  test("of a method are those of the table", () => {
    const method = toyMethod({}, {});
    expect(methodPolicy(method)).toEqual({
      name: `${method.parent.typeName}/Get`,
      isIdempotent: false,
      hasNoSideEffects: false,
      criticality: "CRITICAL",
      keyField: undefined,
      notProcessedCodes: [],
      dedupeTtlMs: 24 * 3_600_000,
      timeoutMs: 10_000,
      maxTimeoutMs: 60_000,
      idleTimeoutMs: 60_000,
      retry: {
        maxAttempts: 3,
        codes: undefined,
        backoff: { initialMs: 25, maxMs: 250, multiplier: 2, jitter: "full" },
        attemptTimeoutMs: undefined,
      },
      hedge: undefined,
      cache: undefined,
      allowsFallback: false,
      fallbackTimeoutMs: 50,
    });
  });

  test("of a service are those of the table", () => {
    expect(servicePolicy(toyMethod().parent)).toEqual({
      gate: { kind: "budget", ratio: 0.2, minPerSecond: 0.1, ttlMs: 10_000 },
      breaker: {
        consecutive: 5,
        failureRatio: 0.5,
        minCalls: 20,
        window: { timeMs: 10_000 },
        openBaseMs: 1_000,
        openMaxMs: 60_000,
        openJitter: 0.5,
        probes: 1,
        slow: undefined,
      },
      balancer: "p2c_peak_ewma",
      slowStartMs: 10_000,
      bulkhead: { maxConcurrent: 256, maxQueue: 0 },
    });
  });

  test("of a hedge are two attempts, the 99th percentile and 5 percent, and no retry beside it", () => {
    const policy = methodPolicy(toyMethod(hedge({})));
    expect(policy.hedge).toEqual({ maxAttempts: 2, delay: { percentile: 0.99 }, maxExtraLoad: 0.05 });
    expect(policy.retry.maxAttempts).toBe(1);
  });

  test("of a cache keep nothing beyond its ttl, and never mix callers", () => {
    expect(methodPolicy(toyMethod({ cache: { ttl: seconds(3) } })).cache).toEqual({
      ttlMs: 3_000,
      staleWhileRevalidateMs: 0,
      staleIfErrorMs: 0,
      negativeTtlMs: 0,
      varyHeaders: ["authorization"],
    });
  });

  test("of a rate limit are calls in a minute", () => {
    expect(methodPolicy(toyMethod({})).rateLimit).toBeUndefined();
    const perMinute = methodPolicy(toyMethod({ rateLimit: { maxCalls: 5 } }));
    expect(perMinute.rateLimit).toEqual({ maxCalls: 5, windowMs: 60_000 });
    const perTwo = methodPolicy(toyMethod({ rateLimit: { maxCalls: 5, window: seconds(2) } }));
    expect(perTwo.rateLimit).toEqual({ maxCalls: 5, windowMs: 2_000 });
  });

  test("of a throttle are those of gRFC A6", () => {
    const { parent } = toyMethod({}, { service: { gate: { case: "retryThrottle", value: {} } } });
    expect(servicePolicy(parent).gate).toEqual({ kind: "throttle", maxTokens: 10, tokenRatio: 0.1 });
  });

  test("of a stream are no deadline, and 60 seconds of silence; a stream with a deadline may be silent", () => {
    const silent = methodPolicy(toyMethod({}, { streams: "server" }));
    expect(silent).toMatchObject({ timeoutMs: Number.POSITIVE_INFINITY, idleTimeoutMs: 60_000 });
    const bounded = methodPolicy(toyMethod({ timeout: seconds(5) }, { streams: "server" }));
    expect(bounded).toMatchObject({ timeoutMs: 5_000, idleTimeoutMs: Number.POSITIVE_INFINITY });
  });

  test("follow what is stated: no longest wait is below the first one", () => {
    const waits = methodPolicy(toyMethod(retry({ initialBackoff: seconds(2) }))).retry.backoff;
    expect(waits).toMatchObject({ initialMs: 2_000, maxMs: 2_000 });
    const { parent } = toyMethod({}, { service: { breaker: { openBase: seconds(90) } } });
    expect(servicePolicy(parent).breaker).toMatchObject({ openBaseMs: 90_000, openMaxMs: 90_000 });
  });
});

describe("what is stated", () => {
  test("is read whole from a method", () => {
    const method = toyMethod(
      {
        criticality: Criticality.SHEDDABLE_PLUS,
        idempotencyKeyField: "request_id",
        notProcessedCodes: [RpcCode.ABORTED],
        dedupeTtl: seconds(3_600),
        timeout: seconds(1.5),
        maxTimeout: seconds(20),
        idleTimeout: seconds(7),
        ...retry({
          maxAttempts: 4,
          codes: [RpcCode.UNKNOWN],
          initialBackoff: seconds(0.1),
          maxBackoff: seconds(1),
          multiplier: 1.6,
          attemptTimeout: seconds(0.4),
          jitter: Jitter.A6,
        }),
        cache: {
          ttl: seconds(3),
          staleWhileRevalidate: seconds(4),
          staleIfError: seconds(5),
          negativeTtl: seconds(1),
          varyHeaders: ["X-Tenant", "Authorization"],
        },
        fallback: { allowed: true, timeout: seconds(0.2) },
      },
      { idempotency: "NO_SIDE_EFFECTS" },
    );
    expect(methodPolicy(method)).toEqual({
      name: methodName(method),
      isIdempotent: true,
      hasNoSideEffects: true,
      criticality: "SHEDDABLE_PLUS",
      keyField: "requestId",
      notProcessedCodes: [Code.Aborted],
      dedupeTtlMs: 3_600_000,
      timeoutMs: 1_500,
      maxTimeoutMs: 20_000,
      idleTimeoutMs: 7_000,
      retry: {
        maxAttempts: 4,
        codes: [Code.Unknown],
        // As it was written, not as a float has it.
        backoff: { initialMs: 100, maxMs: 1_000, multiplier: 1.6, jitter: "a6" },
        attemptTimeoutMs: 400,
      },
      hedge: undefined,
      cache: {
        ttlMs: 3_000,
        staleWhileRevalidateMs: 4_000,
        staleIfErrorMs: 5_000,
        negativeTtlMs: 1_000,
        varyHeaders: ["authorization", "x-tenant"],
      },
      allowsFallback: true,
      fallbackTimeoutMs: 200,
    });
  });

  test("is read whole from a service", () => {
    const { parent } = toyMethod(
      {},
      {
        service: {
          gate: { case: "retryBudget", value: { ratio: 0.1, minPerSecond: 2, ttl: seconds(30) } },
          breaker: {
            consecutive: 7,
            failureRatio: 0.8,
            minCalls: 10,
            window: { case: "windowTime", value: seconds(30) },
            openBase: seconds(5),
            openMax: seconds(10),
            probes: 3,
            openJitter: 0.2,
            slowRatio: 0.9,
            slowCall: seconds(2),
          },
          balancer: { policy: Balancing.ROUND_ROBIN, slowStart: seconds(3) },
          bulkhead: { maxConcurrent: 10, maxQueue: 5 },
        },
      },
    );
    expect(servicePolicy(parent)).toEqual({
      gate: { kind: "budget", ratio: 0.1, minPerSecond: 2, ttlMs: 30_000 },
      breaker: {
        consecutive: 7,
        failureRatio: 0.8,
        minCalls: 10,
        window: { timeMs: 30_000 },
        openBaseMs: 5_000,
        openMaxMs: 10_000,
        openJitter: 0.2,
        probes: 3,
        slow: { ratio: 0.9, callMs: 2_000 },
      },
      balancer: "round_robin",
      slowStartMs: 3_000,
      bulkhead: { maxConcurrent: 10, maxQueue: 5 },
    });
  });

  test.each([
    [Jitter.UNSPECIFIED, "full"],
    [Jitter.NONE, "none"],
    [Jitter.EQUAL, "equal"],
    [Jitter.FULL, "full"],
    [Jitter.A6, "a6"],
  ])("jitter %i is %s", (jitter, name) => {
    expect(methodPolicy(toyMethod(retry({ jitter }))).retry.backoff.jitter).toBe(name);
  });

  test.each([
    [Balancing.UNSPECIFIED, "p2c_peak_ewma"],
    [Balancing.P2C_PEAK_EWMA, "p2c_peak_ewma"],
    [Balancing.LEAST_REQUEST, "least_request"],
    [Balancing.ROUND_ROBIN, "round_robin"],
    [Balancing.PICK_FIRST, "pick_first"],
  ])("balancing %i is %s", (policy, name) => {
    expect(servicePolicy(toyMethod({}, { service: { balancer: { policy } } }).parent).balancer).toBe(name);
  });

  test.each([
    [hedge({ delay: { case: "fixed", value: durationFromMs(30) } }), { fixedMs: 30 }],
    [hedge({ delay: { case: "percentile", value: 0.95 } }), { percentile: 0.95 }],
  ])("a hedge waits for a length or a percentile", (policy, delay) => {
    expect(methodPolicy(toyMethod(policy)).hedge?.delay).toEqual(delay);
  });

  test("a window of calls needs no more calls than it holds, and no row of failures", () => {
    const { parent } = toyMethod(
      {},
      { service: { breaker: { window: { case: "windowCalls", value: 5 }, openJitter: -1 } } },
    );
    expect(servicePolicy(parent).breaker).toMatchObject({
      window: { calls: 5 },
      minCalls: 5,
      consecutive: Number.POSITIVE_INFINITY,
      openJitter: 0,
    });
  });
});

describe("precedence", () => {
  const contract = toyContract(
    {
      Silent: {},
      Stating: { policy: { timeout: seconds(2) } },
    },
    { defaults: { timeout: seconds(1), criticality: Criticality.SHEDDABLE } },
  );
  const [silent, stating] = [methodNamed(contract, "Silent"), methodNamed(contract, "Stating")];
  const overrides = (layers: { service?: StatedPolicy; method?: StatedPolicy }): Overrides => ({
    services: { [contract.typeName]: create(ServicePolicySchema, { defaults: layers.service ?? {} }) },
    methods: { [methodName(stating)]: stated(layers.method ?? {}) },
  });
  const timeoutOf = (...args: Parameters<typeof methodPolicy>) => methodPolicy(...args).timeoutMs;

  test("a service's defaults are above the mesh's, and a method above its service", () => {
    expect(timeoutOf(silent)).toBe(1_000);
    expect(timeoutOf(stating)).toBe(2_000);
    expect(methodPolicy(stating).criticality).toBe("SHEDDABLE");
  });

  test("a deployment is above the contract, first for the service, then for the method", () => {
    const forService = overrides({ service: { timeout: seconds(3) } });
    expect([silent, stating].map((method) => timeoutOf(method, forService))).toEqual([3_000, 3_000]);
    const forBoth = overrides({ service: { timeout: seconds(3) }, method: { timeout: seconds(4) } });
    expect([silent, stating].map((method) => timeoutOf(method, forBoth))).toEqual([3_000, 4_000]);
  });

  test("one call is above them all", () => {
    const forBoth = overrides({ service: { timeout: seconds(3) }, method: { timeout: seconds(4) } });
    expect(timeoutOf(stating, forBoth, stated({ timeout: seconds(5) }))).toBe(5_000);
  });

  test("a layer tunes a part of a retry and leaves the rest to those below", () => {
    const method = toyMethod(retry({ maxAttempts: 4, multiplier: 3 }));
    const policy = methodPolicy(method, undefined, stated(retry({ maxAttempts: 2 })));
    expect(policy.retry).toMatchObject({ maxAttempts: 2, backoff: { multiplier: 3 } });
  });

  test("a deployment is above the contract for what holds for the whole service", () => {
    const { parent } = toyMethod({}, { service: { bulkhead: { maxConcurrent: 10, maxQueue: 5 } } });
    const services = {
      [parent.typeName]: create(ServicePolicySchema, {
        bulkhead: create(BulkheadSchema, { maxConcurrent: 7 }),
      }),
    };
    expect(servicePolicy(parent, { services, methods: {} }).bulkhead).toEqual({
      maxConcurrent: 7,
      maxQueue: 5,
    });
  });
});

describe("the policies of a process", () => {
  test("are read once, until others are put in place", () => {
    const method = toyMethod();
    const read = policies();
    expect(read.method(method)).toBe(read.method(method));
    expect(read.service(method.parent)).toBe(read.service(method.parent));
    read.use({
      methods: { [methodName(method)]: stated({ timeout: seconds(4) }) },
      services: {
        [method.parent.typeName]: create(ServicePolicySchema, { bulkhead: { maxConcurrent: 3 } }),
      },
    });
    expect(read.method(method).timeoutMs).toBe(4_000);
    expect(read.service(method.parent).bulkhead.maxConcurrent).toBe(3);
  });

  test("are tuned by one call, for that call only", () => {
    const method = toyMethod();
    const read = policies();
    expect(read.method(method, stated({ timeout: seconds(4) })).timeoutMs).toBe(4_000);
    expect(read.method(method).timeoutMs).toBe(10_000);
  });

  test("let no call change what is a fact about its method, nor use what the facts forbid", () => {
    const method = toyMethod(
      { idempotencyKeyField: "request_id", criticality: Criticality.SHEDDABLE_PLUS },
      {},
    );
    const read = policies();
    const asked = read.method(
      method,
      stated({
        criticality: Criticality.CRITICAL_PLUS,
        idempotencyKeyField: "toy_id",
        notProcessedCodes: [RpcCode.UNKNOWN],
        dedupeTtl: seconds(1),
        cache: { ttl: seconds(1) },
        fallback: { allowed: true },
        ...hedge({ maxAttempts: 3 }),
      }),
    );
    const { retry: _, ...facts } = read.method(method);
    expect(asked).toEqual({ ...facts, retry: expect.objectContaining({ maxAttempts: 1 }) });
  });

  test("let a call lower its criticality, hedge and cache where that is safe, and ask for five attempts at most", () => {
    const method = toyMethod({}, { idempotency: "NO_SIDE_EFFECTS" });
    const asked = (policy: StatedPolicy) => policies().method(method, stated(policy));
    expect(asked({ criticality: Criticality.SHEDDABLE }).criticality).toBe("SHEDDABLE");
    expect(asked({ cache: { ttl: seconds(1) } }).cache?.ttlMs).toBe(1_000);
    expect(asked(hedge({ maxAttempts: 50 })).hedge?.maxAttempts).toBe(5);
    expect(asked(retry({ maxAttempts: 50 })).retry.maxAttempts).toBe(5);
  });
});
