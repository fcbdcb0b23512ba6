import { describe, expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { random } from "../testing/random.ts";
import { type Load, peakEwma } from "./load.ts";
import { picker } from "./pick.ts";

const TAU_MS = 10_000;

function loaded(chance = 0) {
  const clock = manualClock();
  return { clock, load: peakEwma(clock, () => chance) };
}

describe("the latency", () => {
  test("is nothing before one was seen, and then the first one", () => {
    const { load } = loaded();
    expect(load.latencyMs()).toBe(0);
    load.observe(20);
    expect(load.latencyMs()).toBe(20);
  });

  test("rises at once to one that is longer: a peak", () => {
    const { clock, load } = loaded();
    for (let n = 0; n < 100; n++) load.observe(10);
    clock.advance(1);
    load.observe(200);
    expect(load.latencyMs()).toBe(200);
  });

  test("falls slowly towards those that are shorter, by how much time has passed", () => {
    const { clock, load } = loaded();
    load.observe(100);
    // At the same moment a shorter one has no weight.
    load.observe(10);
    expect(load.latencyMs()).toBe(100);
    clock.advance(TAU_MS);
    load.observe(10);
    // What is left of 100 after tau is 100/e; of the way from there to 10 it goes 1 - 1/e.
    const left = 100 / Math.E;
    expect(load.latencyMs()).toBeCloseTo(left + (10 - left) * (1 - 1 / Math.E), 9);
  });

  test("fades while nobody asks: one ten times as slow costs the same after tau x ln 10, 23 s", () => {
    const { clock, load } = loaded();
    load.observe(100);
    clock.advance(TAU_MS * Math.LN10);
    expect(load.latencyMs()).toBeCloseTo(10, 9);
  });

  test("is the peak of what it has faded to and what comes, not of what it once was", () => {
    const { clock, load } = loaded();
    load.observe(100);
    clock.advance(TAU_MS * Math.LN10);
    load.observe(20);
    expect(load.latencyMs()).toBe(20);
  });
});

describe("the cost of another call", () => {
  test("is the latency times the calls under way, that one among them", () => {
    const { load } = loaded();
    load.observe(10);
    expect(load.cost()).toBe(10);
    load.begin();
    load.begin();
    expect([load.pending, load.cost()]).toEqual([2, 30]);
  });

  test("is nothing for one that nobody has asked, and more than any other's once somebody waits for it", () => {
    const { load } = loaded();
    expect(load.cost()).toBe(0);
    load.begin();
    const slowest = loaded().load;
    slowest.punish(300_000);
    expect(load.cost()).toBeGreaterThan(1_000 * slowest.cost());
    const busier = loaded().load;
    busier.begin();
    busier.begin();
    expect(busier.cost()).toBeGreaterThan(load.cost());
  });

  test("is known again with the first answer", () => {
    const { load } = loaded();
    const end = load.begin();
    load.observe(5);
    end();
    expect(load.cost()).toBe(5);
  });
});

test("reading changes nothing, however often and whenever", () => {
  const [read, unread] = [loaded(), loaded()];
  for (const each of [read, unread]) {
    each.load.observe(80);
    each.load.begin();
  }
  for (let n = 0; n < 1_000; n++) {
    read.clock.advance(5);
    read.load.cost();
    read.load.latencyMs();
    read.load.isDue();
  }
  unread.clock.advance(5_000);
  expect(read.load.cost()).toBe(unread.load.cost());
  for (const each of [read, unread]) each.load.observe(10);
  expect(read.load.latencyMs()).toBe(unread.load.latencyMs());
});

describe("calls under way", () => {
  test("are counted until they end; ending twice is ending once", () => {
    const { load } = loaded();
    const [one, other] = [load.begin(), load.begin()];
    one();
    one();
    expect(load.pending).toBe(1);
    other();
    expect(load.pending).toBe(0);
  });

  test("when the last has ended who waits for that is told", () => {
    const { load } = loaded();
    const [one, other] = [load.begin(), load.begin()];
    let told = 0;
    load.onIdle(() => void told++);
    one();
    expect(told).toBe(0);
    other();
    expect(told).toBe(1);
  });

  test("if there is none who waits for that is told at once, and not if the wait was taken back", () => {
    const { load } = loaded();
    let told = 0;
    load.onIdle(() => void told++);
    expect(told).toBe(1);
    load.onIdle(undefined);
    load.begin()();
    expect(told).toBe(1);
  });
});

describe("the penalty for a failure", () => {
  test.each([
    ["5 s", undefined, 5_000],
    ["5 s at least", 1, 5_000],
    ["what the server asks for, if that is longer", 20_000, 20_000],
    ["300 s at most", 1e9, 300_000],
  ])("is %s", (_, forMs, expected) => {
    const { load } = loaded();
    load.observe(1);
    load.punish(forMs);
    expect(load.latencyMs()).toBe(expected);
  });

  test("is not added to a latency that is longer anyway", () => {
    const { load } = loaded();
    load.observe(8_000);
    load.punish();
    expect(load.latencyMs()).toBe(8_000);
  });

  test("ends with the first answer: what is left is the latency of before", () => {
    const { clock, load } = loaded();
    load.observe(20);
    load.punish();
    clock.advance(TAU_MS);
    load.observe(1);
    const left = 20 / Math.E;
    expect(load.latencyMs()).toBeCloseTo(left + (1 - left) * (1 - 1 / Math.E), 9);
  });

  test("fades: in 46 s to a hundredth", () => {
    const { clock, load } = loaded();
    load.punish();
    clock.advance(TAU_MS * Math.log(100));
    expect(load.latencyMs()).toBeCloseTo(50, 9);
  });

  /** The share of 30 s of calls that one of three endpoints draws which fails in 1 ms while the others take 10 ms. */
  function drawn(fail: (load: Load) => void): number {
    const clock = manualClock();
    const chance = random(7);
    const endpoints = ["bad", "good", "good"].map((kind) => ({
      kind,
      load: peakEwma(clock),
      weight: () => 1,
    }));
    const pick = picker("p2c_peak_ewma", chance.next);
    let bad = 0;
    const calls = 15_000;
    for (let call = 0; call < calls; call++) {
      const chosen = pick(endpoints) ?? expect.fail("nobody was picked");
      const isBad = chosen.kind === "bad";
      if (isBad) bad++;
      const end = chosen.load.begin();
      const tookMs = isBad ? 1 : 10;
      clock.after(tookMs, () => {
        end();
        if (isBad) fail(chosen.load);
        else chosen.load.observe(tookMs);
      });
      clock.advance(2);
    }
    return bad / calls;
  }

  test("is what keeps an endpoint that fails fast from drawing the traffic (L5)", () => {
    // Without it the test would not be one: then most calls go where they fail.
    expect(drawn((load) => load.observe(1))).toBeGreaterThan(0.6);
    expect(drawn((load) => load.punish())).toBeLessThan(0.002);
  });
});

describe("one that failed is due for another try", () => {
  /** After how long it is due, to within 10 ms. */
  function dueAfterMs({ clock, load }: ReturnType<typeof loaded>): number {
    const startedMs = clock.now();
    while (!load.isDue()) clock.advance(10);
    return clock.now() - startedMs;
  }

  test.each([
    ["as short as chance makes it", 0, 1],
    ["as long as chance makes it", 1 - 2 ** -53, 1.5],
  ])("after 1, 2, 4 ... 60 s, as long as it fails: %s", (_, chance, times) => {
    const toy = loaded(chance);
    const waits = Array.from({ length: 8 }, () => {
      toy.load.punish();
      return dueAfterMs(toy);
    });
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60].map((seconds) => seconds * 1_000 * times));
  });

  test("by one call: the next one would be after as long again", () => {
    const toy = loaded();
    toy.load.punish();
    expect(dueAfterMs(toy)).toBe(1_000);
    toy.load.begin();
    expect(toy.load.isDue()).toBe(false);
    expect(dueAfterMs(toy)).toBe(1_000);
  });

  test("not by a call that began before", () => {
    const toy = loaded();
    toy.load.punish();
    toy.clock.advance(500);
    toy.load.begin();
    expect(dueAfterMs(toy)).toBe(500);
  });

  test("later, if it asked to be left alone for longer than a failure costs", () => {
    const toy = loaded();
    toy.load.punish(20_000);
    expect(dueAfterMs(toy)).toBe(20_000);
    const other = loaded();
    other.load.punish(4_000);
    expect(dueAfterMs(other)).toBe(1_000);
  });

  test("no more once it has answered, and then after 1 s again", () => {
    const toy = loaded();
    toy.load.punish();
    toy.load.punish();
    toy.load.observe(5);
    toy.clock.advance(3_600_000);
    expect(toy.load.isDue()).toBe(false);
    toy.load.punish();
    expect(dueAfterMs(toy)).toBe(1_000);
  });

  test("never, if it did not fail", () => {
    const { clock, load } = loaded();
    load.observe(1e6);
    load.lose(1e6);
    clock.advance(3_600_000);
    expect(load.isDue()).toBe(false);
  });
});

describe("attempts that lost against others", () => {
  test("make an endpoint as slow as all the time that was spent on them, until it answers", () => {
    const { load } = loaded();
    load.observe(5);
    const latencies = [40, 40, 40].map((tookMs) => {
      load.lose(tookMs);
      return load.latencyMs();
    });
    expect(latencies).toEqual([40, 80, 120]);
    load.observe(120);
    load.lose(40);
    expect(load.latencyMs()).toBe(120);
  });

  test("say nothing if it is known to take longer than that", () => {
    const { clock, load } = loaded();
    load.observe(100);
    clock.advance(1_000);
    const faded = load.latencyMs();
    load.lose(40);
    load.lose(40);
    expect(load.latencyMs()).toBe(faded);
    load.lose(40);
    expect(load.latencyMs()).toBe(120);
  });
});
