import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { constant } from "./distributions.ts";
import type { Fault } from "./faults.ts";
import { failures, tally } from "./results.ts";
import { simulate } from "./simulate.ts";
import type { ServerModel } from "./simulated-server.ts";
import { NO_BREAKER } from "./variants.ts";

/** A server of one worker at 100 ms a call, with more calls than it can answer, for ten seconds. */
function overloaded(admits: ServerModel["admits"], rps = 10) {
  return simulate({
    seed: 1,
    forMs: 10_000,
    servers: [{ workers: 1, workMs: constant(100), admits }],
    clients: [{ count: 2, rps, isEven: true }],
    variant: { method: { timeoutMs: 250 }, retry: { maxAttempts: 1 }, service: { breaker: NO_BREAKER } },
  });
}

/** A server that has all the time in the world, with a fault. */
function faulty(...faults: readonly Fault[]) {
  return simulate({
    seed: 1,
    forMs: 10_000,
    servers: [{ workers: 1_000, workMs: constant(10), admits: "wanted", faults }],
    clients: [{ count: 1, rps: 100 }],
    variant: { retry: { maxAttempts: 1 }, service: { breaker: NO_BREAKER } },
  });
}

test("a server that does everything works on and on for callers that have gone", async () => {
  const { servers, calls, clock } = await overloaded("everything");
  await clock.runUntil(60_000);
  expect(servers[0]?.workedMs).toBeCloseTo(100 * calls.length);
  expect((servers[0]?.wastedMs ?? 0) / (servers[0]?.workedMs ?? 1)).toBeGreaterThan(0.9);
  expect(tally(calls).okShare).toBeLessThan(0.05);
  expect(servers[0]?.state()).toBeUndefined();
});

test("a server that does what is wanted throws away what waits for callers that have gone", async () => {
  const { servers, clock } = await overloaded("wanted");
  await clock.runUntil(60_000);
  // One worker, for as long as there were callers.
  expect(servers[0]?.workedMs).toBeLessThanOrEqual(10_400);
});

test("a server of the mesh refuses with SHED, and tells what its admission does", async () => {
  const { servers, calls } = await overloaded("mesh", 100);
  expect(Object.keys(failures(calls))).toContain("SHED");
  expect(servers[0]?.state()?.limit).toBeGreaterThanOrEqual(8);
});

test("a server that is away is never reached, and one that is broken answers UNAVAILABLE within its time", async () => {
  const { calls } = await faulty(
    { toMs: 5_000, isDead: true },
    { fromMs: 5_000, failShare: 1, failsInMs: 3 },
  );
  const [away, broken] = [
    calls.filter((c) => c.startedMs < 5_000),
    calls.filter((c) => c.startedMs >= 5_000),
  ];
  expect(away.length).toBeGreaterThan(400);
  expect(new Set(broken.map(({ tookMs }) => Math.round(tookMs)))).toEqual(new Set([3]));
  expect(calls.every(({ failure }) => failure?.code === Code.Unavailable)).toBe(true);
});

test("a share of the calls fails, or stalls", async () => {
  const failing = await faulty({ failShare: 0.2 });
  expect(tally(failing.calls).okShare).toBeGreaterThan(0.75);
  expect(tally(failing.calls).okShare).toBeLessThan(0.85);
  const stalling = await faulty({ stallShare: 0.1, stallMs: 200 });
  const stalled = stalling.calls.filter(({ tookMs }) => Math.abs(tookMs - 210) < 1e-6);
  const usual = stalling.calls.filter(({ tookMs }) => Math.abs(tookMs - 10) < 1e-6);
  expect(stalled.length + usual.length).toBe(stalling.calls.length);
  expect(stalled.length / stalling.calls.length).toBeGreaterThan(0.07);
  expect(stalled.length / stalling.calls.length).toBeLessThan(0.13);
});

test("work that begins during a slowdown takes as many times as long", async () => {
  const { calls } = await faulty({ fromMs: 2_000, toMs: 4_000, slowdown: 7 });
  const lengths = (fromMs: number, toMs: number) =>
    new Set(
      calls
        .filter(({ startedMs }) => startedMs >= fromMs && startedMs < toMs)
        .map(({ tookMs }) => Math.round(tookMs)),
    );
  expect(lengths(0, 2_000)).toEqual(new Set([10]));
  expect(lengths(2_000, 4_000)).toEqual(new Set([70]));
  expect(lengths(4_000, 10_000)).toEqual(new Set([10]));
});
