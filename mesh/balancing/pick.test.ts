import { describe, expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { random } from "../testing/random.ts";
import { peakEwma } from "./load.ts";
import { type Candidate, picker } from "./pick.ts";

interface Named extends Candidate {
  readonly name: string;
}

const clock = manualClock();

/** An endpoint of this latency, with so many calls under way. */
function endpoint(name: string, { latencyMs = 10, pending = 0, weight = 1 } = {}): Named {
  const load = peakEwma(clock);
  load.observe(latencyMs);
  for (let n = 0; n < pending; n++) load.begin();
  return { name, load, weight: () => weight };
}

/** How often each was picked in so many turns. */
function counts(times: number, pick: () => Named | undefined): Record<string, number> {
  const found: Record<string, number> = {};
  for (let n = 0; n < times; n++) {
    const { name } = pick() ?? expect.fail("nobody was picked");
    found[name] = (found[name] ?? 0) + 1;
  }
  return found;
}

/** Chance that goes through all combinations of so many values each, one combination after the other. */
function grid(...sizes: number[]) {
  let at = 0;
  let turn = 0;
  return () => {
    const size = sizes[at % sizes.length] ?? 1;
    const before = sizes.slice(0, at % sizes.length).reduce((product, each) => product * each, 1);
    const value = (Math.floor(turn / before) % size) / size + 0.5 / size;
    at++;
    if (at % sizes.length === 0) turn++;
    return value;
  };
}

test.each(["p2c_peak_ewma", "least_request", "round_robin", "pick_first"] as const)(
  "%s picks nobody of none, and the one of one",
  (name) => {
    const pick = picker(name, random(1).next);
    expect(pick([])).toBeUndefined();
    const only = endpoint("only", { weight: 0.1 });
    for (let n = 0; n < 10; n++) expect(pick([only])).toBe(only);
    expect(pick([])).toBeUndefined();
  },
);

describe("p2c_peak_ewma", () => {
  test("takes the better of two that chance picks: the worst of four never, the best every other time", () => {
    const four = [40, 10, 30, 20].map((latencyMs) => endpoint(`${latencyMs} ms`, { latencyMs }));
    const pick = picker("p2c_peak_ewma", grid(4, 3));
    expect(counts(120, () => pick(four))).toEqual({ "10 ms": 60, "20 ms": 40, "30 ms": 20 });
  });

  test("looks at how slow and how busy", () => {
    const two = [endpoint("slow", { latencyMs: 25 }), endpoint("busy", { latencyMs: 10, pending: 2 })];
    expect(picker("p2c_peak_ewma", grid(2, 1))(two)?.name).toBe("slow");
    const other = [endpoint("slow", { latencyMs: 35 }), endpoint("busy", { latencyMs: 10, pending: 2 })];
    expect(picker("p2c_peak_ewma", grid(2, 1))(other)?.name).toBe("busy");
  });

  test("has one that failed tried again by one call, whatever it costs, once that is due", () => {
    const clock = manualClock();
    const failed = { name: "failed", load: peakEwma(clock, () => 0), weight: () => 1 };
    const all = [endpoint("a"), failed, endpoint("c")];
    failed.load.punish();
    const pick = picker("p2c_peak_ewma", grid(3, 2));
    const called = () => {
      const chosen = pick(all);
      chosen?.load.begin()();
      return chosen;
    };
    clock.advance(999);
    expect(counts(60, called)).toEqual({ a: 30, c: 30 });
    clock.advance(1);
    expect(called()?.name).toBe("failed");
    expect(counts(60, called).failed).toBeUndefined();
  });

  test("does not have it tried by a retry, which may be its call's last chance", () => {
    const clock = manualClock();
    const failed = { name: "failed", load: peakEwma(clock, () => 0), weight: () => 1 };
    failed.load.punish();
    clock.advance(1_000);
    const pick = picker("p2c_peak_ewma", grid(2, 1));
    const two = [failed, endpoint("well")];
    expect(counts(10, () => pick(two, true))).toEqual({ well: 10 });
    expect(pick(two)?.name).toBe("failed");
  });

  test("gives equals an equal share", () => {
    const three = ["a", "b", "c"].map((name) => endpoint(name));
    const pick = picker("p2c_peak_ewma", grid(3, 2));
    expect(counts(60, () => pick(three))).toEqual({ a: 20, b: 20, c: 20 });
  });

  test("of 10,000 calls to three of one kind gives none 15 % more than another (L7)", () => {
    const chance = random(11);
    const clock = manualClock();
    const three = ["a", "b", "c"].map((name) => ({ name, load: peakEwma(clock), weight: () => 1 }));
    const pick = picker("p2c_peak_ewma", chance.next);
    const found = counts(10_000, () => {
      const chosen = pick(three);
      const end = chosen?.load.begin();
      const tookMs = 5 + 10 * chance.next();
      clock.after(tookMs, () => {
        end?.();
        chosen?.load.observe(tookMs);
      });
      clock.advance(4);
      return chosen;
    });
    const shares = Object.values(found);
    expect(shares).toHaveLength(3);
    expect(Math.max(...shares) / Math.min(...shares)).toBeLessThanOrEqual(1.15);
  });
});

describe("least_request", () => {
  test("takes the one with fewer calls under way of two that chance picks, however slow", () => {
    const four = [3, 0, 2, 1].map((pending) => endpoint(`${pending}`, { pending, latencyMs: 100 - pending }));
    const pick = picker("least_request", grid(4, 3));
    expect(counts(120, () => pick(four))).toEqual({ 0: 60, 1: 40, 2: 20 });
  });

  test("leaves it to chance between equals, and so does not see who is slow", () => {
    const two = [endpoint("slow", { latencyMs: 1_000 }), endpoint("fast", { latencyMs: 1 })];
    const pick = picker("least_request", grid(2, 1));
    expect(counts(20, () => pick(two))).toEqual({ slow: 10, fast: 10 });
  });
});

describe("one that warms up", () => {
  test.each(["p2c_peak_ewma", "least_request"] as const)(
    "gets that part of its share from %s, however good it looks",
    (name) => {
      // One that nobody has asked costs nothing: without its weight it would draw every call.
      const fresh = { name: "fresh", load: peakEwma(clock), weight: () => 0.3 };
      const two = [fresh, endpoint("warm", { pending: 1 })];
      const pick = picker(name, grid(2, 1, 10));
      expect(counts(200, () => pick(two))).toEqual({ fresh: 60, warm: 140 });
    },
  );

  test("gets its share as it warms up", () => {
    let weight = 0.1;
    const fresh = { name: "fresh", load: endpoint("").load, weight: () => weight };
    const two = [fresh, endpoint("warm")];
    const shares = [0.1, 0.5, 0.9, 1].map((now) => {
      weight = now;
      const pick = picker("p2c_peak_ewma", now < 1 ? grid(2, 1, 10) : grid(2, 1));
      return (counts(200, () => pick(two)).fresh ?? 0) / 200;
    });
    expect(shares).toEqual([0.05, 0.25, 0.45, 0.5]);
  });

  test("is picked by its cost among others that warm up", () => {
    const two = [
      endpoint("slow", { weight: 0.1, latencyMs: 20 }),
      endpoint("fast", { weight: 0.1, latencyMs: 10 }),
    ];
    // Neither takes its turn.
    const pick = picker("p2c_peak_ewma", () => 0.99);
    expect(pick(two)?.name).toBe("fast");
  });

  test("gets that part of its turns from round_robin, and the others share the rest", () => {
    const three = [endpoint("a"), endpoint("fresh", { weight: 0.3 }), endpoint("c")];
    const pick = picker("round_robin", grid(10));
    expect(counts(230, () => pick(three))).toEqual({ a: 100, fresh: 30, c: 100 });
  });

  test("is picked by round_robin when all the others warm up too", () => {
    const two = [endpoint("a", { weight: 0.1 }), endpoint("b", { weight: 0.1 })];
    const pick = picker("round_robin", () => 0.99);
    const found = counts(100, () => pick(two));
    expect(found).toEqual({ a: 50, b: 50 });
  });
});

describe("round_robin", () => {
  const three = ["a", "b", "c"].map((name) => endpoint(name));

  test("goes from one to the next, and so gives each the same", () => {
    const pick = picker("round_robin", () => 0);
    const turns = Array.from({ length: 7 }, () => pick(three)?.name).join("");
    expect(turns).toBe("abcabca");
    const found = counts(9_999, () => pick(three));
    expect(found).toEqual({ a: 3_333, b: 3_333, c: 3_333 });
  });

  test("begins where chance says: many callers do not begin at the same one", () => {
    const chance = random(3);
    const found = counts(3_000, () => picker("round_robin", chance.next)(three));
    expect(Object.keys(found).sort()).toEqual(["a", "b", "c"]);
    for (const share of Object.values(found)) expect(share).toBeGreaterThan(900);
  });

  test("looks neither at how slow nor at how busy", () => {
    const pick = picker("round_robin", () => 0);
    const two = [endpoint("a", { latencyMs: 1_000, pending: 50 }), endpoint("b")];
    expect(counts(10, () => pick(two))).toEqual({ a: 5, b: 5 });
  });

  test("goes on among those that are left", () => {
    const pick = picker("round_robin", () => 0);
    counts(100, () => pick(three));
    expect(counts(100, () => pick(three.slice(0, 2)))).toEqual({ a: 50, b: 50 });
  });

  test("gives a retry no turn of a first attempt: one that fails does not get every call first", () => {
    const [a, b] = three;
    if (!a || !b) return expect.fail();
    const pick = picker("round_robin", () => 0);
    const first = counts(100, () => {
      const chosen = pick([a, b]);
      if (chosen === a) pick([b], true);
      return chosen;
    });
    expect(first).toEqual({ a: 50, b: 50 });
  });

  test("spreads retries over the others, though no first attempt comes in between", () => {
    const pick = picker("round_robin", () => 0);
    expect(counts(100, () => pick(three.slice(1), true))).toEqual({ b: 50, c: 50 });
  });
});

describe("pick_first", () => {
  const [a, b, c] = ["a", "b", "c"].map((name) => endpoint(name)) as [Named, Named, Named];

  test("stays at the first, however slow and busy it is", () => {
    const pick = picker("pick_first");
    const slow = endpoint("slow", { latencyMs: 1_000, pending: 100 });
    expect(counts(10, () => pick([slow, b, c]))).toEqual({ slow: 10 });
  });

  test("stays where it is when the list is in another order, or another comes before", () => {
    const pick = picker("pick_first");
    expect(pick([a, b])).toBe(a);
    expect(pick([b, a])).toBe(a);
    expect(pick([c, b, a])).toBe(a);
  });

  test("goes to the next when its own is gone, and stays there when it comes back", () => {
    const pick = picker("pick_first");
    pick([a, b, c]);
    expect(pick([b, c])).toBe(b);
    expect(pick([a, b, c])).toBe(b);
  });

  test("comes back from the detour of a retry", () => {
    const pick = picker("pick_first");
    pick([a, b, c]);
    expect(pick([b, c], true)).toBe(b);
    expect(pick([a, b, c])).toBe(a);
  });
});
