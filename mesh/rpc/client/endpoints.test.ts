import { expect, test } from "vitest";
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import { servicePolicy } from "../../contract/policy.ts";
import type { Endpoint } from "../../discovery/target.ts";
import { manualClock } from "../../testing/clock.ts";
import { random } from "../../testing/random.ts";
import { type EndpointPolicies, type Endpoints, endpointsOf, type LiveEndpoint } from "./endpoints.ts";

const at = (port: number): Endpoint => ({ host: "h", port });
const NOWHERE: ReadonlySet<LiveEndpoint> = new Set();

/** Endpoints whose transports only note that they are closed. */
function opened(policies: Partial<EndpointPolicies> = {}) {
  const clock = manualClock();
  const closed: number[] = [];
  const endpoints = endpointsOf({
    open: ({ port }) => ({
      unary: () => Promise.reject(new Error("the test makes no calls")),
      stream: () => Promise.reject(new Error("the test makes no calls")),
      close: () => void closed.push(port),
    }),
    policies: { ...servicePolicy(Health), ...policies },
    clock,
    random: random(7).next,
    watchesHealth: false,
  });
  return { clock, closed, endpoints };
}

const addresses = (endpoints: Endpoints) => endpoints.all().map(({ address }) => address);

function picked(endpoints: Endpoints, times: number): Map<string | undefined, number> {
  const counts = new Map<string | undefined, number>();
  for (let i = 0; i < times; i++) {
    const address = endpoints.pick(NOWHERE, NOWHERE)?.address;
    counts.set(address, (counts.get(address) ?? 0) + 1);
  }
  return counts;
}

/** Opens the breaker of an endpoint. */
function fail(endpoint: LiveEndpoint | undefined): void {
  for (let i = 0; i < 5; i++) endpoint?.breaker.acquire()?.record("FAILURE", 1);
}

test("who is not on the list any more gets nothing, ends what it does, and is closed then", () => {
  const { endpoints, closed } = opened();
  endpoints.update([at(1), at(2)]);
  const end = endpoints.all()[0]?.load.begin();
  endpoints.update([at(2), at(3)]);
  expect(addresses(endpoints)).toEqual(["h:2", "h:3"]);
  expect(picked(endpoints, 50).has("h:1")).toBe(false);
  expect(closed).toEqual([]);
  end?.();
  expect(closed).toEqual([1]);
});

test("one that never ends what it does is closed after 30 seconds", () => {
  const { endpoints, clock, closed } = opened();
  endpoints.update([at(1)]);
  endpoints.all()[0]?.load.begin();
  endpoints.update([]);
  clock.advance(29_999);
  expect(closed).toEqual([]);
  clock.advance(1);
  expect(closed).toEqual([1]);
});

test("an endpoint that stays on the list keeps what is known of it", () => {
  const { endpoints } = opened();
  endpoints.update([at(1), at(2)]);
  const before = endpoints.all();
  endpoints.update([at(2), at(1)]);
  expect(new Set(endpoints.all())).toEqual(new Set(before));
});

test("closing closes all, those that drain too, once each", () => {
  const { endpoints, clock, closed } = opened();
  endpoints.update([at(1), at(2)]);
  endpoints.all()[0]?.load.begin();
  endpoints.update([at(2)]);
  endpoints.close();
  endpoints.close();
  clock.advance(60_000);
  expect(closed.sort()).toEqual([1, 2]);
});

test("the first list is warm; a newcomer's share grows to its whole within the slow start", () => {
  const { endpoints, clock } = opened({ balancer: "round_robin", slowStartMs: 10_000 });
  endpoints.update([at(1), at(2)]);
  expect(picked(endpoints, 100)).toEqual(
    new Map([
      ["h:1", 50],
      ["h:2", 50],
    ]),
  );
  endpoints.update([at(1), at(2), at(3)]);
  const shares: number[] = [];
  for (const waitMs of [0, 5_000, 5_000]) {
    clock.advance(waitMs);
    shares.push((picked(endpoints, 3_000).get("h:3") ?? 0) / 1_000);
  }
  // Of its third of the turns: a tenth at first, then as much as time has passed.
  expect(shares[0]).toBeGreaterThan(0.1);
  expect(shares[0]).toBeLessThan(0.2);
  expect(shares[1]).toBeGreaterThan(0.55);
  expect(shares[1]).toBeLessThan(0.75);
  expect(shares[2]).toBe(1);
});

test("an endpoint whose breaker closes again warms up too", () => {
  const { endpoints, clock } = opened({ slowStartMs: 10_000 });
  endpoints.update([at(1), at(2)]);
  const [first] = endpoints.all();
  fail(first);
  clock.advance(2_000);
  expect(first?.weight()).toBe(1);
  first?.breaker.acquire()?.record("SUCCESS", 1);
  expect(first?.breaker.describe().state).toBe("CLOSED");
  expect(first?.weight()).toBe(0.1);
  clock.advance(5_000);
  expect(first?.weight()).toBeCloseTo(0.5);
});

test("with one endpoint an open breaker rejects; with three of which most are open, none is looked at (L8)", () => {
  const { endpoints } = opened({ balancer: "round_robin" });
  endpoints.update([at(1)]);
  fail(endpoints.all()[0]);
  expect(endpoints.pick(NOWHERE, NOWHERE)).toBeUndefined();
  endpoints.update([at(1), at(2), at(3)]);
  expect(endpoints.pick(NOWHERE, NOWHERE)?.isForced).toBe(false);
  fail(endpoints.all()[1]);
  const counts = picked(endpoints, 300);
  for (const address of ["h:1", "h:2", "h:3"]) expect(counts.get(address)).toBeGreaterThan(0);
  expect(endpoints.pick(NOWHERE, NOWHERE)?.isForced).toBe(true);
});

test("a call goes where it was not, where its breaker did not refuse it, and back only if nobody else is there", () => {
  const { endpoints } = opened();
  endpoints.update([at(1), at(2)]);
  const [first, second] = endpoints.all();
  if (!first || !second) throw new Error("two endpoints are known");
  for (let i = 0; i < 20; i++) expect(endpoints.pick(new Set([first]), NOWHERE)).toBe(second);
  for (let i = 0; i < 20; i++) expect(endpoints.pick(new Set([first]), new Set([second]))).toBe(first);
  expect(endpoints.pick(NOWHERE, new Set([first, second]))).toBeUndefined();
});

test("one that an operator keeps open counts for the panic, and the others are tried", () => {
  const { endpoints } = opened();
  endpoints.update([at(1), at(2), at(3)]);
  const [kept, ...others] = endpoints.all();
  if (!kept) throw new Error("three endpoints are known");
  kept.breaker.order("FORCED_OPEN");
  for (const each of others) fail(each);
  expect(others).toContain(endpoints.pick(NOWHERE, new Set([kept])));
});

test("one that says that it does not serve gets nothing, unless nobody serves", () => {
  const { endpoints } = opened();
  endpoints.update([at(1), at(2)]);
  const [first, second] = endpoints.all();
  if (!first || !second) throw new Error("two endpoints are known");
  first.isServing = false;
  expect([...picked(endpoints, 50).keys()]).toEqual(["h:2"]);
  second.isServing = false;
  expect([...picked(endpoints, 50).keys()].sort()).toEqual(["h:1", "h:2"]);
});

test("other policies take effect at once, and breakers begin anew", () => {
  const { endpoints } = opened();
  endpoints.update([at(1), at(2)]);
  fail(endpoints.all()[0]);
  endpoints.apply({ ...servicePolicy(Health), balancer: "pick_first" });
  expect(endpoints.all()[0]?.breaker.describe().state).toBe("CLOSED");
  expect([...picked(endpoints, 20).keys()]).toEqual(["h:1"]);
});

test("it is waited for until it is known who is there, if that is nobody too", async () => {
  const { endpoints } = opened();
  const known = endpoints.whenKnown();
  expect(known).toBeInstanceOf(Promise);
  endpoints.update([]);
  await known;
  expect(endpoints.whenKnown()).toBeUndefined();
});
