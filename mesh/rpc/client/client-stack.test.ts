import { create } from "@bufbuild/protobuf";
import { Code, type Interceptor } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { Jitter, MethodPolicySchema, ServicePolicySchema } from "../../../gen/mesh/policy/v1/policy_pb.ts";
import { policies as readPolicies } from "../../contract/policy.ts";
import { manualClock } from "../../testing/clock.ts";
import { refusalOf } from "../../testing/refusal.ts";
import { fails, type Step, scriptedBackend, UNAVAILABLE } from "../../testing/scripted-backend.ts";
import { countable, duration, type ToyClientOptions, toyTarget } from "../../testing/toy-client.ts";
import type { ToyPolicies } from "../../testing/toy-service.ts";
import { until } from "../../testing/until.ts";
import { meshClient } from "./client.ts";

/** A client of some backends, and what its stack tells of itself. */
async function stacked(count: number, contract: ToyPolicies = {}, options: ToyClientOptions = {}) {
  const clock = manualClock();
  const service = countable(contract);
  const backends = [];
  for (let i = 0; i < count; i++) backends.push(await scriptedBackend({ protocol: "grpc", service }));
  const told: string[] = [];
  const note = (what: string) => () => void told.push(what);
  const target = toyTarget(
    "grpc",
    service,
    backends.map(({ endpoint }) => endpoint),
    {
      clock,
      observer: {
        cached: (_, how) => void told.push(how),
        retried: (_, how) => void told.push(how),
        bulkheadFull: note("full"),
        degraded: (_, how) => void told.push(how),
        hedged: note("hedge"),
        outOfTime: note("out of time"),
        breakerRejected: note("breaker"),
      },
      ...options,
    },
  );
  const [backend] = backends;
  if (!backend) throw new Error("a test needs a backend");
  const plays = (...steps: Step[]) => backend.plays(...steps);
  return { clock, service, target, client: meshClient(service, target), backends, backend, plays, told };
}

const ONE_PLACE = { bulkhead: { maxConcurrent: 1 } };
const FULL = { code: "Unavailable", reason: "BULKHEAD_FULL", domain: "mesh.weft" };

test("the cache is above the bulkhead and retry: an answer that is there costs no place, and adds nothing to the budget", async () => {
  const { client, target, backend, plays, told } = await stacked(1, {
    service: ONE_PLACE,
    ask: { cache: { ttl: duration(60_000) } },
  });
  await client.ask({ text: "a" });
  const leaving = new AbortController();
  plays({ does: "hang" });
  const held = client.order({}, { signal: leaving.signal }).catch(() => {});
  await backend.whenArrived(2);
  expect(await refusalOf(client.order({}))).toEqual(FULL);
  const balance = target.state.gateOf().balance();
  expect(await client.ask({ text: "a" })).toMatchObject({ text: "a" });
  expect(target.state.gateOf().balance()).toBe(balance);
  expect(await refusalOf(client.ask({ text: "b" }))).toEqual(FULL);
  leaving.abort();
  await held;
  expect(told).toEqual(["miss", "full", "hit", "full"]);
});

test("the bulkhead is above retry: a call that waits for its next attempt holds one place, all the time", async () => {
  const { client, clock, plays, told } = await stacked(1, { service: ONE_PLACE });
  plays(UNAVAILABLE);
  const call = client.ask({ text: "a" });
  await until(() => told.length === 1);
  expect(await refusalOf(client.ask({}))).toEqual(FULL);
  clock.advance(1);
  expect(await call).toMatchObject({ text: "a" });
  await client.ask({});
  expect(told).toEqual(["retry", "full"]);
});

test("the deadline is above the bulkhead and retry: waits spend from it", async () => {
  const wait = { initialBackoff: duration(6_000), maxBackoff: duration(6_000), jitter: Jitter.NONE };
  const { client, clock, backend, plays, told } = await stacked(1, {
    ask: { timeout: duration(10_000), redundancy: { case: "retry", value: wait } },
  });
  plays(UNAVAILABLE, UNAVAILABLE);
  const call = client.ask({});
  await until(() => told.length === 1);
  clock.advance(6_000);
  // The second failure leaves 4 s, which is too little for another wait.
  await expect(call).rejects.toMatchObject({ code: Code.Unavailable });
  expect(backend.attempts).toHaveLength(2);
});

test("the fallback is above all but telemetry: it sees the outcome of the call, not of its attempts", async () => {
  const seen: string[] = [];
  const outermost: Interceptor = (next) => async (request) => {
    const response = await next(request);
    seen.push(response.trailer.get("mesh-degraded") ?? "answered");
    return response;
  };
  const service = { ...ONE_PLACE, defaults: { redundancy: { case: "retry" as const, value: quick(3) } } };
  const {
    service: contract,
    target,
    backend,
    plays,
  } = await stacked(
    1,
    { service, ask: { fallback: { allowed: true }, timeout: duration(10_000) } },
    { observer: { call: outermost } },
  );
  const asked: unknown[] = [];
  const client = meshClient(contract, target, {
    fallback: {
      ask(_, error) {
        asked.push((error as { code: Code }).code);
        return { text: "instead" };
      },
    },
  });
  plays(UNAVAILABLE, UNAVAILABLE);
  expect(await client.ask({ text: "a" })).toMatchObject({ text: "a" });
  plays(UNAVAILABLE, UNAVAILABLE, UNAVAILABLE);
  expect(await client.ask({ text: "a" })).toMatchObject({ text: "instead" });
  // A refusal of the bulkhead is an outcome too.
  plays({ does: "hang" });
  const leaving = new AbortController();
  const held = client.order({}, { signal: leaving.signal }).catch(() => {});
  await backend.whenArrived(7);
  expect(await client.ask({ text: "a" })).toMatchObject({ text: "instead" });
  leaving.abort();
  await held;
  // What the server says of the request itself is its answer.
  plays(fails(Code.NotFound));
  await expect(client.ask({ text: "a" })).rejects.toMatchObject({ code: Code.NotFound });
  expect(asked).toEqual([Code.Unavailable, Code.Unavailable]);
  expect(seen).toEqual(["answered", "fallback", "fallback"]);
});

test("the fallback answers a call for which no time was left, too", async () => {
  const { service, target, told } = await stacked(1, { ask: { fallback: { allowed: true } } });
  const client = meshClient(service, target, { fallback: { ask: () => ({ text: "instead" }) } });
  expect(await client.ask({}, { timeoutMs: 0 })).toMatchObject({ text: "instead" });
  expect(told).toEqual(["out of time", "fallback"]);
});

test("the pick is above the breaker: one that refuses after all costs neither an attempt nor a wait", async () => {
  const { client, target, backends, told } = await stacked(2);
  const [first] = target.state.endpoints.all();
  if (!first) throw new Error("two endpoints are known");
  const real = first.breaker;
  // As between the pick of a half-open endpoint and the moment in which another call took its only permit.
  first.breaker = { ...real, isOpen: () => false, acquire: () => undefined };
  const before = target.state.gateOf().balance();
  await client.ask({});
  expect(told).toEqual(["breaker"]);
  const [attempt] = backends[1]?.attempts ?? [];
  expect(attempt?.previousAttempts).toBeUndefined();
  // A fifth of a retry was put in, and none was taken.
  expect(target.state.gateOf().balance() - before).toBeCloseTo(0.2);
});

test("when every breaker refuses, the call is refused as BREAKER_OPEN, and nothing is sent", async () => {
  const { client, target, backends } = await stacked(2);
  for (const endpoint of target.state.endpoints.all()) endpoint.breaker.order("FORCED_OPEN");
  expect(await refusalOf(client.ask({}))).toMatchObject({ reason: "BREAKER_OPEN" });
  expect(backends.map(({ attempts }) => attempts.length)).toEqual([0, 0]);
});

test("a target of which no instance is known refuses with NO_ENDPOINT, and telemetry sees the attempt", async () => {
  const service = countable();
  let attempts = 0;
  const attempt: Interceptor = (next) => (request) => {
    attempts++;
    return next(request);
  };
  const target = toyTarget("grpc", service, [], { observer: { attempt } });
  expect(await refusalOf(meshClient(service, target).ask({}))).toMatchObject({
    code: "Unavailable",
    reason: "NO_ENDPOINT",
  });
  expect(attempts).toBe(1);
});

test("what pushes an attempt back keeps hedges away for a second; another instance still answers in its place", async () => {
  const value = { maxAttempts: 2, maxExtraLoad: 1, delay: { case: "fixed" as const, value: duration(100) } };
  const { client, clock, backend, backends, plays, told } = await stacked(2, {
    ask: { redundancy: { case: "hedge", value } },
  });
  plays(fails(Code.Unavailable, { reason: "SHED" }));
  expect(await client.ask({ text: "a" })).toMatchObject({ text: "a" });
  expect([backends[1]?.attempts.length, told]).toEqual([1, ["hedge"]]);
  const slow = Promise.withResolvers<void>();
  plays({ does: "answer", after: slow.promise });
  const call = client.ask({});
  await backend.whenArrived(2);
  clock.advance(100);
  slow.resolve();
  await call;
  expect(told).toEqual(["hedge"]);
  clock.advance(900);
  plays({ does: "hang" });
  const hedged = client.ask({});
  await backend.whenArrived(3);
  clock.advance(100);
  await hedged;
  expect([backends[1]?.attempts.length, told]).toEqual([2, ["hedge", "hedge"]]);
});

test("a reload makes breakers, budget and bulkhead anew, with the policies that are in place then", async () => {
  const policies = readPolicies();
  const retried = { service: { defaults: { redundancy: { case: "retry" as const, value: quick(3) } } } };
  const { service, client, target, plays } = await stacked(1, retried, { policies });
  plays(UNAVAILABLE, UNAVAILABLE, UNAVAILABLE);
  await client.ask({}).catch(() => {});
  expect(target.state.endpoints.all()[0]?.breaker.describe()).toMatchObject({ calls: 3 });
  const once = create(MethodPolicySchema, { redundancy: { case: "retry", value: { maxAttempts: 1 } } });
  policies.use({
    services: {
      [service.typeName]: create(ServicePolicySchema, { bulkhead: { maxConcurrent: 3 }, defaults: once }),
    },
    methods: {},
  });
  target.reload();
  expect(target.state.calls().limit).toBe(3);
  expect(target.state.endpoints.all()[0]?.breaker.describe()).toMatchObject({ calls: 0 });
  plays(UNAVAILABLE);
  await expect(client.ask({})).rejects.toMatchObject({ code: Code.Unavailable });
  expect(target.state.endpoints.all()[0]?.breaker.describe()).toMatchObject({ calls: 1, failures: 1 });
});

function quick(maxAttempts: number) {
  return { maxAttempts, initialBackoff: duration(0), maxBackoff: duration(0) };
}
