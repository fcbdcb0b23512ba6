import { expect, test } from "vitest";
import { policies, servicePolicy } from "../../contract/policy.ts";
import { runWork, type Work } from "../../core/work.ts";
import type { Request } from "../../resilience/call.ts";
import { manualClock } from "../../testing/clock.ts";
import { toyService } from "../../testing/toy-service.ts";
import { NO_OBSERVER } from "./call-observer.ts";
import { targetState } from "./target-state.ts";

const service = toyService({ service: { bulkhead: { maxConcurrent: 10 } } });
const { ask, order, watch } = service.method;
const calling = (method: typeof ask | typeof order | typeof watch) =>
  ({ method, stream: method.methodKind !== "unary" }) as never as Request;
const { signal } = new AbortController();

function state() {
  const clock = manualClock();
  const surroundings = { clock, random: () => 0.5, policies: policies() };
  const policy = servicePolicy(service);
  const made = targetState({
    ...{ name: "static:///h:1", surroundings, policy, observer: NO_OBSERVER },
    endpoints: { all: () => [] } as never,
    refresh: () => {},
  });
  return { clock, policy, ...made };
}

test("a stream takes no place that calls need, nor a call one of a stream", async () => {
  const { bulkheadOf, calls } = state();
  await bulkheadOf(calling(watch)).enter(1_000, signal);
  expect(calls().inflight).toBe(0);
  await bulkheadOf(calling(ask)).enter(1_000, signal);
  expect([calls().inflight, bulkheadOf(calling(order)).inflight]).toEqual([1, 1]);
  expect(bulkheadOf(calling(watch)).inflight).toBe(1);
});

test("latencies are those of a method", () => {
  const { latenciesOf } = state();
  expect(latenciesOf(calling(ask))).toBe(latenciesOf(calling(ask)));
  expect(latenciesOf(calling(ask))).not.toBe(latenciesOf(calling(order)));
});

test("a target is busy while more than 70 percent of its places are taken", async () => {
  const { calls, isBusy } = state();
  const places = [];
  for (let call = 0; call < 7; call++) places.push(await calls().enter(1_000, signal));
  expect(isBusy()).toBe(false);
  const leave = await calls().enter(1_000, signal);
  expect(isBusy()).toBe(true);
  leave();
  expect(isBusy()).toBe(false);
});

test("it is busy for a second after a server has pushed back", () => {
  const { clock, isBusy, notePushback } = state();
  expect(isBusy()).toBe(false);
  notePushback();
  clock.advance(999);
  expect(isBusy()).toBe(true);
  clock.advance(1);
  expect(isBusy()).toBe(false);
});

test("a call that is made for a retry counts half, any other whole", () => {
  const { share } = state();
  expect(share()).toBe(1);
  expect(runWork({ isRetry: true } as Work, share)).toBe(0.5);
  expect(runWork({ isRetry: false } as Work, share)).toBe(1);
});

test("what the caller has left is what its work has left", () => {
  const { clock, callerLeftMs } = state();
  expect(callerLeftMs()).toBe(Number.POSITIVE_INFINITY);
  clock.advance(30);
  expect(runWork({ deadlineMs: 100 } as Work, callerLeftMs)).toBe(70);
});

test("other policies begin with an empty budget and empty bulkheads, and keep the latencies", async () => {
  const { policy, apply, gateOf, hedgeBudgets, calls, bulkheadOf, latenciesOf } = state();
  const known = latenciesOf(calling(ask));
  await calls().enter(1_000, signal);
  await bulkheadOf(calling(watch)).enter(1_000, signal);
  gateOf().deposit();
  const { balance } = gateOf();
  const full = balance();
  hedgeBudgets.of("toy/Ask", 1).deposit();
  apply({ ...policy, bulkhead: { maxConcurrent: 3, maxQueue: 0 } });
  expect(hedgeBudgets.balances()).toEqual({});
  expect(gateOf().balance()).toBeCloseTo(full - 0.2);
  expect([calls().limit, calls().inflight]).toEqual([3, 0]);
  expect(bulkheadOf(calling(watch))).toMatchObject({ limit: 3, inflight: 0 });
  expect(latenciesOf(calling(ask))).toBe(known);
});
