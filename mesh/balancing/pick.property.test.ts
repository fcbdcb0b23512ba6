import fc from "fast-check";
import { expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { random } from "../testing/random.ts";
import { eligible } from "./eligible.ts";
import { peakEwma } from "./load.ts";
import { type Candidate, picker } from "./pick.ts";

const names = fc.constantFrom("p2c_peak_ewma", "least_request", "round_robin", "pick_first" as const);

const step = fc.record({
  /** What becomes of one endpoint before the next call. */
  which: fc.nat(5),
  isServing: fc.oneof({ weight: 3, arbitrary: fc.constant(true) }, fc.constant(false)),
  isOpen: fc.boolean(),
  isThere: fc.oneof({ weight: 3, arbitrary: fc.constant(true) }, fc.constant(false)),
  weight: fc.constantFrom(0.1, 0.5, 1),
  /** What becomes of the call. */
  outcome: fc.constantFrom("answered", "failed", "lost", "waiting"),
  retries: fc.nat(2),
  tookMs: fc.nat(3_000),
});

test("a call is placed where it may go, whoever picks: never at an open breaker but in a panic of three", () => {
  fc.assert(
    fc.property(names, fc.nat(), fc.array(step, { maxLength: 80, size: "max" }), (name, seed, steps) => {
      const clock = manualClock();
      const chance = random(seed);
      const pick = picker(name, chance.next);
      const all = Array.from({ length: 6 }, () => {
        const state = { isServing: true, isOpen: false, isThere: true, weight: 1 };
        const candidate: Candidate = { load: peakEwma(clock, chance.next), weight: () => state.weight };
        return { state, ...candidate };
      });
      for (const { which, outcome, retries, tookMs, ...state } of steps) {
        Object.assign(all[which]?.state ?? {}, state);
        const there = all.filter((each) => each.state.isThere);
        const open = there.filter((each) => each.state.isOpen).length;
        const tried = new Set<unknown>();

        for (let attempt = 0; attempt <= retries; attempt++) {
          const { endpoints } = eligible(there, (each) => ({
            ...each.state,
            wasTried: tried.has(each),
            hasRefused: false,
          }));
          const chosen = pick(endpoints, tried.size > 0);
          if (open === there.length && there.length < 3) expect(chosen).toBeUndefined();
          else expect(endpoints).toContain(chosen);
          if (!chosen) break;

          const isPanic = there.length >= 3 && open > there.length / 2;
          expect(chosen.state.isThere).toBe(true);
          if (!isPanic) expect(chosen.state.isOpen).toBe(false);
          // It is asked again, or although it does not serve, only if all that may be asked are like that.
          const others = there.filter((each) => isPanic || !each.state.isOpen);
          if (!chosen.state.isServing) expect(others.some((each) => each.state.isServing)).toBe(false);
          if (tried.has(chosen)) {
            const alike = others.filter((each) => each.state.isServing === chosen.state.isServing);
            expect(alike.every((each) => tried.has(each))).toBe(true);
          }
          tried.add(chosen);

          const end = chosen.load.begin();
          if (outcome === "waiting") continue;
          clock.advance(tookMs);
          if (outcome === "answered") chosen.load.observe(tookMs);
          else if (outcome === "failed") chosen.load.punish();
          else chosen.load.lose(tookMs);
          end();
        }
      }
    }),
    { numRuns: 80 },
  );
});
