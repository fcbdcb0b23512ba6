import { expect, test } from "vitest";
import { constant, exponential, lognormal } from "./distributions.ts";
import { between, tally } from "./results.ts";
import { type Plan, simulate } from "./simulate.ts";
import { NO_BREAKER } from "./variants.ts";

/** A bit of everything: queues, faults, retries, breakers that open, and calls that are shed. */
const PLAN: Plan = {
  seed: 7,
  forMs: 5_000,
  servers: [
    {
      workers: 2,
      workMs: exponential(20),
      admits: "mesh",
      faults: [{ fromMs: 1_000, toMs: 2_000, isDead: true }],
    },
    { workers: 2, workMs: lognormal(20, 0.5), admits: "mesh", faults: [{ failShare: 0.3 }] },
    { workers: 2, workMs: exponential(20), admits: "wanted", faults: [{ fromMs: 3_000, slowdown: 5 }] },
  ],
  clients: [
    { count: 3, rps: 60 },
    { count: 1, rps: 30, isEven: true, header: { "mesh-criticality": "SHEDDABLE" } },
  ],
  variant: { method: { timeoutMs: 500 } },
};

test("the same plan gives the same results, call by call", async () => {
  const [first, second] = [await simulate(PLAN), await simulate(PLAN)];
  expect(first.calls.length).toBeGreaterThan(1_000);
  expect(tally(first.calls).okShare).toBeLessThan(1);
  expect(second.calls).toEqual(first.calls);
  expect(second.servers.map(({ attemptsAtMs }) => attemptsAtMs)).toEqual(
    first.servers.map(({ attemptsAtMs }) => attemptsAtMs),
  );
});

test("simulations that run side by side do not touch each other", async () => {
  const alone = await simulate(PLAN);
  const [one, other] = await Promise.all([simulate(PLAN), simulate({ ...PLAN, seed: 8 })]);
  expect(one.calls).toEqual(alone.calls);
  expect(other.calls).not.toEqual(alone.calls);
});

test("clients call as often as they are to, by chance or evenly, until the end", async () => {
  const plan = (isEven: boolean): Plan => ({
    seed: 1,
    forMs: 100_000,
    // So long that some calls outlast the time in which clients call.
    servers: [{ workers: 1_000, workMs: constant(2_000), admits: "wanted" }],
    clients: [{ count: 4, rps: 25, isEven }],
  });
  const [chance, even] = [await simulate(plan(false)), await simulate(plan(true))];
  // Three standard deviations of 10,000 calls by chance are 300.
  expect(Math.abs(chance.calls.length - 10_000)).toBeLessThan(300);
  expect(even.calls.length).toBe(10_000);
  for (const { calls } of [chance, even]) {
    expect(Math.max(...calls.map(({ startedMs }) => startedMs))).toBeLessThan(100_000);
  }
});

test("clients may come later than others, and go before them", async () => {
  const { calls } = await simulate({
    seed: 1,
    forMs: 3_000,
    servers: [{ workers: 1_000, workMs: constant(1), admits: "wanted" }],
    clients: [
      { count: 1, rps: 10, isEven: true },
      { count: 1, rps: 100, isEven: true, fromMs: 1_000, toMs: 2_000 },
    ],
  });
  expect([0, 1, 2].map((s) => between(calls, s * 1_000, (s + 1) * 1_000).length)).toEqual([10, 110, 10]);
});

test("an unhurried server works for as long as its model says, and no client waits longer", async () => {
  const { calls, servers } = await simulate({
    seed: 1,
    forMs: 60_000,
    servers: [{ workers: 1_000, workMs: exponential(20), admits: "wanted" }],
    clients: [{ count: 1, rps: 200 }],
  });
  const meanMs = calls.reduce((sum, { tookMs }) => sum + tookMs, 0) / calls.length;
  expect(meanMs).toBeGreaterThan(19);
  expect(meanMs).toBeLessThan(21);
  expect(servers[0]?.workedMs).toBeCloseTo(calls.reduce((sum, { tookMs }) => sum + tookMs, 0));
});

test("a queue is as long as theory says: M/M/1 at 80 % takes five times as long as its work", async () => {
  const { calls } = await simulate({
    seed: 2,
    forMs: 1_000_000,
    servers: [{ workers: 1, workMs: exponential(20), admits: "everything" }],
    clients: [{ count: 10, rps: 4 }],
    variant: { method: { timeoutMs: 60_000 }, retry: { maxAttempts: 1 } },
  });
  const meanMs = calls.reduce((sum, { tookMs }) => sum + tookMs, 0) / calls.length;
  expect(meanMs).toBeGreaterThan(90);
  expect(meanMs).toBeLessThan(110);
});

test("what is watched is looked at each so often, until the end", async () => {
  const seen: number[] = [];
  await simulate({
    seed: 1,
    forMs: 1_000,
    servers: [{ workers: 1, workMs: exponential(1), admits: "mesh" }],
    clients: [{ count: 1, rps: 10 }],
    watch: { eachMs: 250, look: ({ clock }) => seen.push(clock.now()) },
  });
  expect(seen).toEqual([250, 500, 750, 1_000]);
});

test("attempts are counted where and when they arrive, calls when they begin", async () => {
  const results = await simulate({
    seed: 1,
    forMs: 10_000,
    servers: [
      { workers: 100, workMs: exponential(1), admits: "wanted", faults: [{ toMs: 5_000, failShare: 1 }] },
    ],
    clients: [{ count: 1, rps: 100 }],
    variant: {
      retry: { maxAttempts: 3, backoff: { initialMs: 1, maxMs: 1, multiplier: 1, jitter: "none" } },
      service: {
        gate: { kind: "budget", ratio: 10, minPerSecond: 100, ttlMs: 10_000 },
        breaker: NO_BREAKER,
      },
    },
  });
  expect(results.amplification(0, 4_900)).toBeCloseTo(3, 1);
  expect(results.amplification(5_100)).toBe(1);
  expect(results.shares()).toEqual([1]);
  expect(results.attempts()[0]).toBe(results.servers[0]?.attemptsAtMs.length);
});
