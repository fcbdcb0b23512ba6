import fc from "fast-check";
import { expect, test } from "vitest";
import type { BreakerPolicy } from "../contract/policy.ts";
import { manualClock } from "../testing/clock.ts";
import { type BreakerOrder, type BreakerState, breaker, type Permit } from "./breaker.ts";
import type { Health } from "./classify.ts";

const VERDICT_WITHIN_MS = 60_000;
const CHANCE = 0.5;

const health = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom<Health>("FAILURE") },
  fc.constantFrom<Health>("SUCCESS", "FAILURE", "FAILURE_BY_RATIO", "NOTHING"),
);
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant("acquire" as const) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom("record" as const, "record" as const, "broke" as const),
      // Counted from the newest, so that calls of the present state are told of more often than those of earlier ones.
      which: fc.oneof(fc.nat(3), fc.nat(100)),
      health,
      tookMs: fc.nat(200),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("pass" as const),
      ms: fc.oneof(fc.nat(100), fc.nat(2_500), fc.constantFrom(10_000, 60_000)),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("order" as const),
      order: fc.constantFrom<BreakerOrder | undefined>(
        undefined,
        undefined,
        "FORCED_OPEN",
        "DISABLED",
        "METRICS_ONLY",
      ),
    }),
  },
);

const policy: fc.Arbitrary<BreakerPolicy> = fc.record({
  consecutive: fc.constantFrom(2, 3, 5, Number.POSITIVE_INFINITY),
  failureRatio: fc.constantFrom(0.3, 0.5, 1),
  minCalls: fc.integer({ min: 1, max: 8 }),
  window: fc.constantFrom({ timeMs: 2_000 }, { timeMs: 10_000 }, { calls: 4 }, { calls: 12 }),
  openBaseMs: fc.constantFrom(500, 1_000),
  openMaxMs: fc.constantFrom(1_000, 7_000),
  openJitter: fc.constantFrom(0, 0.5),
  probes: fc.integer({ min: 1, max: 3 }),
  slow: fc.constantFrom(undefined, { ratio: 0.6, callMs: 120 }),
});

interface Given {
  readonly permit: Permit;
  /** The number of changes and orders before it. */
  readonly epoch: number;
  readonly isUncounted: boolean;
  isTold: boolean;
}

/** What a breaker must be by its rules, kept without its windows, counters and permits. */
function model(policy: BreakerPolicy, nowMs: () => number) {
  const { window, probes, slow } = policy;
  return {
    state: "CLOSED" as BreakerState,
    order: undefined as BreakerOrder | undefined,
    epoch: 0,
    trips: 0,
    untilMs: 0,
    /** Calls of this state that were told of, in their order. */
    told: [] as { atMs: number; health: Health; tookMs: number }[],
    /** Probes of this state that are under way. */
    probing: 0,
    change(to: BreakerState, reason: string) {
      this.state = to;
      this.epoch++;
      this.told = [];
      this.probing = 0;
      if (to === "CLOSED") this.trips = 0;
      if (to === "OPEN") {
        if (reason !== "NO_VERDICT") this.trips++;
        const openMs = Math.min(policy.openMaxMs, policy.openBaseMs * 2 ** (this.trips - 1));
        this.untilMs = nowMs() + openMs * (1 + policy.openJitter * CHANCE);
      }
      if (to === "HALF_OPEN") this.untilMs = nowMs() + VERDICT_WITHIN_MS;
    },
    inWindow() {
      if ("calls" in window) return this.told.slice(-window.calls);
      const bucket = (atMs: number) => Math.floor(atMs / (window.timeMs / 10));
      return this.told.filter(({ atMs }) => bucket(atMs) > bucket(nowMs()) - 10);
    },
    /** Why a closed breaker with these calls must open; undefined if it must not. */
    fault() {
      const calls = this.inWindow();
      const share = (of: number) => (calls.length >= policy.minCalls ? of / calls.length : 0);
      const failures = calls.filter(({ health }) => health !== "SUCCESS").length;
      const slows = calls.filter(({ tookMs }) => tookMs >= (slow?.callMs ?? Number.POSITIVE_INFINITY)).length;
      const since = this.told.findLastIndex(({ health }) => health === "SUCCESS") + 1;
      const row = this.told.slice(since).filter(({ health }) => health === "FAILURE").length;
      if (row >= policy.consecutive) return "CONSECUTIVE";
      if (share(failures) >= policy.failureRatio) return "RATIO";
      return slow && share(slows) >= slow.ratio ? "SLOW" : undefined;
    },
    /** How many more probes may go. */
    places() {
      return probes - this.probing - this.told.length;
    },
  };
}

test("a breaker goes by its rules, whatever its calls and operators do", () => {
  fc.assert(
    fc.property(policy, fc.array(step, { maxLength: 200, size: "max" }), (policy, steps) => {
      const clock = manualClock();
      const expected = model(policy, clock.now);
      const changes: string[] = [];
      const gate = breaker(policy, {
        clock,
        random: () => CHANCE,
        onChange(from, to, reason) {
          expect(from).toBe(expected.state);
          changes.push(reason);
          expected.change(to, reason);
        },
      });
      const all: Given[] = [];
      /** What a step changes, and only that. */
      function changing(act: () => void): string[] {
        changes.length = 0;
        act();
        return [...changes];
      }

      for (const each of steps) {
        switch (each.do) {
          case "pass":
            expect(changing(() => clock.advance(each.ms))).toEqual([]);
            break;

          case "order": {
            const wasClosed = expected.state === "CLOSED";
            expect(changing(() => gate.order(each.order))).toEqual(wasClosed ? [] : ["ORDERED"]);
            if (wasClosed) expected.change("CLOSED", "ORDERED");
            expected.order = each.order;
            break;
          }

          case "acquire": {
            const { state, order } = expected;
            const isDue = clock.now() >= expected.untilMs;
            let wasOpen = false;
            const looked = changing(() => {
              wasOpen = gate.isOpen();
            });
            // Looking takes no permit; all that it may find is that there was no verdict.
            expect(looked).toEqual(state === "HALF_OPEN" && isDue && !order ? ["NO_VERDICT"] : []);
            let permit: Permit | undefined;
            const acquired = changing(() => {
              permit = gate.acquire();
            });
            expect(permit === undefined).toBe(wasOpen);
            if (order) expect(wasOpen).toBe(order === "FORCED_OPEN");
            else if (state === "CLOSED") expect(wasOpen).toBe(false);
            else if (state === "OPEN") expect(wasOpen).toBe(!isDue);
            else expect(wasOpen).toBe(isDue || expected.places() === 0);
            expect(acquired).toEqual(state === "OPEN" && isDue && !order ? ["TIME"] : []);
            if (!permit) break;
            const isUncounted = order === "DISABLED";
            if (expected.state === "HALF_OPEN") {
              expected.probing++;
              expect(expected.places()).toBeGreaterThanOrEqual(0);
            }
            all.push({ permit, epoch: expected.epoch, isUncounted, isTold: false });
            break;
          }

          case "record":
          case "broke": {
            const given = all.at(-1 - (each.which % Math.max(all.length, 1)));
            if (!given) break;
            const before = gate.describe();
            const isFirst = !given.isTold && each.do === "record";
            const isBreak = each.do === "broke" && (each.health as string).startsWith("FAILURE");
            const counts = given.epoch === expected.epoch && !given.isUncounted && (isFirst || isBreak);
            const tookMs = isBreak ? 0 : each.tookMs;
            if (counts && isFirst) given.isTold = true;

            let reason: string | undefined;
            if (counts && expected.state === "HALF_OPEN") {
              if (isFirst) expected.probing--;
              if (each.health === "SUCCESS") {
                expected.told.push({ atMs: clock.now(), health: each.health, tookMs });
                if (expected.told.length >= policy.probes) reason = "PROBES_SUCCEEDED";
              } else if (each.health !== "NOTHING") reason = "PROBE_FAILED";
            } else if (counts && each.health !== "NOTHING") {
              expected.told.push({ atMs: clock.now(), health: each.health, tookMs });
              if (expected.order !== "METRICS_ONLY") reason = expected.fault();
            }
            const happened = changing(() => {
              if (each.do === "record") given.permit.record(each.health, each.tookMs);
              else given.permit.broke(each.health);
            });
            expect(happened).toEqual(reason === undefined ? [] : [reason]);
            // What a call of an earlier state brings changes nothing at all.
            if (!counts) expect(gate.describe()).toEqual(before);
          }
        }
        const { state, order, trips } = gate.describe();
        expect({ state, order, trips }).toEqual({
          state: expected.state,
          order: expected.order,
          trips: expected.trips,
        });
        if (expected.state !== "CLOSED") continue;
        const present = expected.inWindow();
        expect(gate.describe()).toMatchObject({
          calls: present.length,
          failures: present.filter(({ health }) => health !== "SUCCESS").length,
        });
      }
    }),
    { numRuns: 300 },
  );
});
