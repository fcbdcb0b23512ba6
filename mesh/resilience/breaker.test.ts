import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { type BreakerPolicy, servicePolicy } from "../contract/policy.ts";
import { manualClock } from "../testing/clock.ts";
import { statusError } from "../testing/toy-calls.ts";
import { toyService } from "../testing/toy-service.ts";
import { type Breaker, breaker, type Permit } from "./breaker.ts";
import { type Health, healthOf } from "./classify.ts";
import { outcomeOf } from "./outcome.ts";

const DEFAULTS = servicePolicy(toyService()).breaker;
/** Only a share of the calls opens it, and chance is left out of how long. */
const BY_RATIO: Partial<BreakerPolicy> = { consecutive: Number.POSITIVE_INFINITY, minCalls: 5 };
const HEALTHS = { S: "SUCCESS", F: "FAILURE", R: "FAILURE_BY_RATIO", "-": "NOTHING" } as const;

/** A breaker, and what becomes of it as "from-to reason". */
function breaking(policy: Partial<BreakerPolicy> = {}, random = () => 0) {
  const clock = manualClock();
  const changes: string[] = [];
  const gate = breaker(
    { ...DEFAULTS, ...policy },
    { clock, random, onChange: (from, to, reason) => void changes.push(`${from}-${to} ${reason}`) },
  );
  const stateOf = () => gate.describe().state;
  /** Makes one call for each letter of S, F, R and -, and says how many of them were let through. */
  function calls(healths: string, everyMs = 0, tookMs = 1): number {
    let made = 0;
    for (const letter of healths) {
      clock.advance(everyMs);
      const permit = gate.acquire();
      if (permit) made++;
      permit?.record(HEALTHS[letter as keyof typeof HEALTHS], tookMs);
    }
    return made;
  }
  return { clock, changes, gate, stateOf, calls };
}

/** A permit, which must be given. */
function permitOf(gate: Breaker): Permit {
  return gate.acquire() ?? expect.fail("the breaker gave no permit");
}

test("what a contract that says nothing of breakers gets", () => {
  expect(DEFAULTS).toEqual({
    consecutive: 5,
    failureRatio: 0.5,
    minCalls: 20,
    window: { timeMs: 10_000 },
    openBaseMs: 1_000,
    openMaxMs: 60_000,
    openJitter: 0.5,
    probes: 1,
    slow: undefined,
  });
});

describe("a closed breaker", () => {
  test("opens after five failures in a row", () => {
    const { changes, calls, gate } = breaking();
    expect(calls("FFFF")).toBe(4);
    expect(gate.isOpen()).toBe(false);
    expect(calls("FFF")).toBe(1);
    expect(gate.isOpen()).toBe(true);
    expect(changes).toEqual(["CLOSED-OPEN CONSECUTIVE"]);
  });

  test("counts a row anew after a success", () => {
    const { stateOf, calls } = breaking();
    calls("FFFFSFFFF");
    expect(stateOf()).toBe("CLOSED");
  });

  test("neither lengthens nor ends a row by what only a share tells, or by what tells nothing", () => {
    const { changes, calls } = breaking();
    calls("FFR-FR-RF");
    expect(changes).toEqual([]);
    calls("F");
    expect(changes).toEqual(["CLOSED-OPEN CONSECUTIVE"]);
  });

  // C1 is resilience4j's CircuitBreakerStateMachineTest (shouldOpenAfterFailureRateThresholdExceeded, ...Exceeded2, and
  // those of slow calls); cold starts, probes and waits are the cases of Linkerd's tests of its breaker/unified.rs.
  describe.each([
    ["of time", { timeMs: 20_000 }],
    ["of calls", { calls: 20 }],
  ])("with a window %s", (_, window) => {
    const policy = { ...BY_RATIO, window };

    test("opens at 60 % of the least number of calls, a second apart (C1)", () => {
      const { changes, calls } = breaking(policy);
      calls("FFFS", 1_000);
      expect(changes).toEqual([]);
      calls("S", 1_000);
      expect(changes).toEqual(["CLOSED-OPEN RATIO"]);
    });

    test("stays closed at 40 % and opens at 50 % (C1)", () => {
      const { changes, gate, calls } = breaking(policy);
      calls("SSSFF", 1_000);
      expect(gate.describe()).toMatchObject({ state: "CLOSED", calls: 5, failures: 2 });
      calls("F", 1_000);
      expect(changes).toEqual(["CLOSED-OPEN RATIO"]);
    });

    test("stays closed for fewer calls than tell anything: a cold start", () => {
      const { changes, calls } = breaking(policy);
      calls("FFFF", 1_000);
      expect(changes).toEqual([]);
    });

    test("opens for slow calls by their share, though they succeed (C1)", () => {
      const { changes, calls } = breaking({ ...policy, slow: { ratio: 0.5, callMs: 100 } });
      calls("SSS", 1_000, 99);
      calls("SS", 1_000, 100);
      expect(changes).toEqual([]);
      calls("S", 1_000, 100);
      expect(changes).toEqual(["CLOSED-OPEN SLOW"]);
    });

    test("does not look at how slow calls are unless it is told to", () => {
      const { changes, calls } = breaking(policy);
      calls("SSSSSSSSSS", 1_000, 1e9);
      expect(changes).toEqual([]);
    });
  });

  test("with a window of the last five calls looks at no call before them (C1)", () => {
    const { gate, changes, calls } = breaking({ ...BY_RATIO, window: { calls: 5 } });
    calls("SSSFF", 1_000);
    calls("SSSFF", 1_000);
    expect(gate.describe()).toMatchObject({ state: "CLOSED", calls: 5, failures: 2 });
    // Five of eleven, but three of the last five.
    calls("F", 1_000);
    expect(changes).toEqual(["CLOSED-OPEN RATIO"]);
  });

  test("forgets failures of an hour ago, though nothing happened since (C2, B15)", () => {
    const { clock, gate, calls } = breaking({ ...BY_RATIO, minCalls: 10 });
    calls("FFFFFFFFF");
    clock.advance(3_600_000);
    calls("F");
    expect(gate.describe()).toMatchObject({ state: "CLOSED", calls: 1, failures: 1 });
  });

  test("needs its least number of calls anew after it was idle: again a cold start", () => {
    const { clock, changes, calls } = breaking(BY_RATIO);
    calls("SSSSSS");
    clock.advance(10_000);
    calls("FFFF");
    expect(changes).toEqual([]);
    calls("F");
    expect(changes).toEqual(["CLOSED-OPEN RATIO"]);
  });

  test("remembers the failures of a row, however long ago: one is enough to be careful", () => {
    const { clock, changes, calls } = breaking();
    calls("FFFF");
    clock.advance(3_600_000);
    calls("F");
    expect(changes).toEqual(["CLOSED-OPEN CONSECUTIVE"]);
  });

  test("counts a call that told nothing not at all", () => {
    const { gate, calls } = breaking();
    calls("-".repeat(100));
    expect(gate.describe()).toMatchObject({ state: "CLOSED", calls: 0, failures: 0 });
  });

  test("listens to the first word of a call only", () => {
    const { gate } = breaking();
    const permit = permitOf(gate);
    permit.record("SUCCESS", 1);
    for (let n = 0; n < 10; n++) permit.record("FAILURE", 1);
    expect(gate.describe()).toMatchObject({ calls: 1, failures: 0 });
    const left = permitOf(gate);
    left.record("NOTHING", 1);
    left.record("FAILURE", 1);
    expect(gate.describe()).toMatchObject({ calls: 1, failures: 0 });
  });

  test("counts a stream that breaks as another call, and its good end not again", () => {
    const { gate } = breaking();
    const stream = permitOf(gate);
    stream.record("SUCCESS", 1);
    stream.broke("SUCCESS");
    stream.broke("NOTHING");
    expect(gate.describe()).toMatchObject({ calls: 1, failures: 0 });
    stream.broke("FAILURE");
    expect(gate.describe()).toMatchObject({ calls: 2, failures: 1 });
  });

  test("opens for streams that begin well and break, one after the other", () => {
    const { gate, changes } = breaking();
    const streams = Array.from({ length: 5 }, () => permitOf(gate));
    for (const stream of streams) stream.record("SUCCESS", 1);
    for (const stream of streams) stream.broke("FAILURE");
    expect(changes).toEqual(["CLOSED-OPEN CONSECUTIVE"]);
  });
});

describe("what a server says", () => {
  const saying = (code: Code) => healthOf(outcomeOf(statusError(code)));

  function told(health: Health, times: number) {
    const toy = breaking();
    for (let n = 0; n < times; n++) toy.gate.acquire()?.record(health, 1);
    return toy;
  }

  test("INVALID_ARGUMENT a thousand times leaves it closed (C7)", () => {
    const { gate, changes } = told(saying(Code.InvalidArgument), 1_000);
    expect(changes).toEqual([]);
    expect(gate.describe()).toMatchObject({ state: "CLOSED", calls: 1_000, failures: 0 });
  });

  test("RESOURCE_EXHAUSTED twenty times opens it by ratio, not by row (C7)", () => {
    const health = saying(Code.ResourceExhausted);
    expect(told(health, 19).changes).toEqual([]);
    expect(told(health, 20).changes).toEqual(["CLOSED-OPEN RATIO"]);
  });

  test("RESOURCE_EXHAUSTED fails a probe (C7)", () => {
    const { clock, gate, changes, calls } = breaking();
    calls("FFFFF");
    clock.advance(1_000);
    permitOf(gate).record(saying(Code.ResourceExhausted), 1);
    expect(changes.slice(1)).toEqual(["OPEN-HALF_OPEN TIME", "HALF_OPEN-OPEN PROBE_FAILED"]);
  });

  test("UNAVAILABLE five times opens it by row", () => {
    expect(told(saying(Code.Unavailable), 5).changes).toEqual(["CLOSED-OPEN CONSECUTIVE"]);
  });
});

describe("an open breaker", () => {
  test("refuses until its time is over, and then lets one call try", () => {
    const { clock, gate, changes, calls } = breaking();
    calls("FFFFF");
    expect(gate.describe()).toMatchObject({ state: "OPEN", trips: 1, probesInMs: 1_000 });
    clock.advance(999);
    expect([gate.isOpen(), gate.acquire()]).toEqual([true, undefined]);
    expect(gate.describe().probesInMs).toBe(1);
    clock.advance(1);
    expect(gate.isOpen()).toBe(false);
    expect(changes).toEqual(["CLOSED-OPEN CONSECUTIVE"]);
    permitOf(gate);
    expect(changes.slice(1)).toEqual(["OPEN-HALF_OPEN TIME"]);
    expect(gate.describe().probesInMs).toBe(0);
  });

  test("does nothing by itself: without calls it stays open and says nothing", () => {
    const { clock, gate, changes, calls } = breaking();
    calls("FFFFF");
    clock.advance(3_600_000);
    expect(gate.describe()).toMatchObject({ state: "OPEN", probesInMs: 0 });
    expect(changes).toHaveLength(1);
  });

  test.each([
    ["as short as chance makes it", 0, 1],
    ["in the middle", 0.5, 1.25],
    ["as long as chance makes it", 1 - 2 ** -53, 1.5],
  ])("stays so for 1, 2, 4 ... 60 s: %s (C6)", (_, chance, times) => {
    const { clock, gate, calls } = breaking({}, () => chance);
    const openMs: number[] = [];
    calls("FFFFF");
    for (let trip = 1; trip <= 9; trip++) {
      const { probesInMs, trips } = gate.describe();
      expect(trips).toBe(trip);
      openMs.push(Math.round(probesInMs));
      clock.advance(probesInMs - 1);
      expect(calls("S")).toBe(0);
      clock.advance(1 + 1e-6);
      expect(calls("F")).toBe(1);
    }
    expect(openMs).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * 1_000 * times));
  });

  test("stays so for 1 s again once it was closed: the wait goes back to its base (C6)", () => {
    const { clock, gate, stateOf, calls } = breaking();
    calls("FFFFF");
    clock.advance(1_000);
    calls("F");
    clock.advance(2_000);
    calls("F");
    expect(gate.describe()).toMatchObject({ trips: 3, probesInMs: 4_000 });
    clock.advance(4_000);
    calls("S");
    expect(stateOf()).toBe("CLOSED");
    expect(gate.describe()).toMatchObject({ trips: 0, calls: 0, failures: 0 });
    calls("FFFFF");
    expect(gate.describe()).toMatchObject({ trips: 1, probesInMs: 1_000 });
  });

  test("stays so for as long as may be at the thousandth trip, not for ever", () => {
    const { clock, gate, calls } = breaking();
    calls("FFFFF");
    for (let trip = 0; trip < 1_200; trip++) {
      clock.advance(60_000);
      calls("F");
    }
    expect(gate.describe()).toMatchObject({ trips: 1_201, probesInMs: 60_000 });
  });
});

describe("a half-open breaker", () => {
  /** A breaker whose time is over. */
  function due(policy: Partial<BreakerPolicy> = {}) {
    const toy = breaking(policy);
    toy.calls("FFFFF");
    toy.clock.advance(1_000);
    toy.changes.length = 0;
    return toy;
  }

  test("lets one of twenty callers through and refuses nineteen at once (C3, B16)", () => {
    const { gate, stateOf } = due();
    const permits = Array.from({ length: 20 }, () => gate.acquire());
    expect(permits.map((permit) => permit !== undefined)).toEqual([true, ...Array(19).fill(false)]);
    expect(gate.isOpen()).toBe(true);
    permits[0]?.record("SUCCESS", 1);
    expect(stateOf()).toBe("CLOSED");
    expect(gate.isOpen()).toBe(false);
  });

  test("closes when its probe succeeds, with nothing remembered", () => {
    const { changes, gate, calls } = due();
    expect(calls("S")).toBe(1);
    expect(changes).toEqual(["OPEN-HALF_OPEN TIME", "HALF_OPEN-CLOSED PROBES_SUCCEEDED"]);
    calls("FFFF");
    expect(gate.describe()).toMatchObject({ state: "CLOSED", calls: 4, failures: 4 });
  });

  test("opens for twice as long when its probe fails", () => {
    const { changes, gate, calls } = due();
    calls("F");
    expect(changes).toEqual(["OPEN-HALF_OPEN TIME", "HALF_OPEN-OPEN PROBE_FAILED"]);
    expect(gate.describe()).toMatchObject({ trips: 2, probesInMs: 2_000 });
  });

  test("gets its place back from a caller who left; the next one tries (C5)", () => {
    const { gate, stateOf, calls } = due();
    const probe = permitOf(gate);
    expect(gate.acquire()).toBeUndefined();
    probe.record("NOTHING", 1);
    expect([stateOf(), gate.isOpen()]).toEqual(["HALF_OPEN", false]);
    probe.record("NOTHING", 1);
    const next = permitOf(gate);
    expect(gate.acquire()).toBeUndefined();
    next.record("SUCCESS", 1);
    expect(stateOf()).toBe("CLOSED");
    expect(calls("S")).toBe(1);
  });

  test("with three probes lets three through in all, and closes when all of them succeed", () => {
    const { gate, stateOf } = due({ probes: 3 });
    const [first, second, third, fourth] = Array.from({ length: 4 }, () => gate.acquire());
    expect(fourth).toBeUndefined();
    first?.record("SUCCESS", 1);
    second?.record("SUCCESS", 1);
    // Those that succeeded keep their places.
    expect([stateOf(), gate.acquire()]).toEqual(["HALF_OPEN", undefined]);
    third?.record("SUCCESS", 1);
    expect(stateOf()).toBe("CLOSED");
  });

  test("with three probes opens at the first that fails, and next time needs three again", () => {
    const { clock, changes, gate, stateOf, calls } = due({ probes: 3 });
    const [first, second, third] = Array.from({ length: 3 }, () => gate.acquire());
    first?.record("SUCCESS", 1);
    second?.record("FAILURE", 1);
    third?.record("FAILURE", 1);
    expect(changes).toEqual(["OPEN-HALF_OPEN TIME", "HALF_OPEN-OPEN PROBE_FAILED"]);
    expect(gate.describe()).toMatchObject({ trips: 2, probesInMs: 2_000 });
    clock.advance(2_000);
    calls("SS");
    expect(stateOf()).toBe("HALF_OPEN");
    calls("S");
    expect(stateOf()).toBe("CLOSED");
  });

  test("opens when a stream that was one of its probes begins well and breaks", () => {
    const { changes, gate } = due({ probes: 2 });
    const stream = permitOf(gate);
    stream.record("SUCCESS", 1);
    stream.broke("FAILURE");
    expect(changes).toEqual(["OPEN-HALF_OPEN TIME", "HALF_OPEN-OPEN PROBE_FAILED"]);
  });

  test("waits a minute for a verdict, and then is open for as long as before", () => {
    const { clock, changes, gate, calls } = due();
    permitOf(gate);
    clock.advance(59_999);
    expect(calls("S")).toBe(0);
    expect(changes).toEqual(["OPEN-HALF_OPEN TIME"]);
    clock.advance(1);
    expect(gate.isOpen()).toBe(true);
    expect(changes).toEqual(["OPEN-HALF_OPEN TIME", "HALF_OPEN-OPEN NO_VERDICT"]);
    expect(gate.describe()).toMatchObject({ trips: 1, probesInMs: 1_000 });
    clock.advance(1_000);
    expect(calls("S")).toBe(1);
    expect(gate.describe().state).toBe("CLOSED");
  });
});

describe("a call of an earlier state", () => {
  /** A call that began when all was well, and a breaker that has opened since. */
  function late() {
    const toy = breaking();
    const call = permitOf(toy.gate);
    toy.calls("FFFFF");
    return { ...toy, call };
  }

  test("that fails while a probe runs opens nothing; the probe's success closes (C4, B17)", () => {
    const { clock, call, gate, stateOf } = late();
    clock.advance(1_000);
    const probe = permitOf(gate);
    call.record("FAILURE", 1_000);
    call.broke("FAILURE");
    expect(stateOf()).toBe("HALF_OPEN");
    probe.record("SUCCESS", 1);
    expect(stateOf()).toBe("CLOSED");
  });

  test("that succeeds while a probe runs closes nothing; the probe's failure opens (C4, mirror)", () => {
    const { clock, call, gate, stateOf } = late();
    clock.advance(1_000);
    const probe = permitOf(gate);
    call.record("SUCCESS", 1_000);
    expect(stateOf()).toBe("HALF_OPEN");
    // Nor does it give a place to another.
    expect(gate.acquire()).toBeUndefined();
    probe.record("FAILURE", 1);
    expect(gate.describe()).toMatchObject({ state: "OPEN", trips: 2 });
  });

  test("that succeeds while it is open closes nothing, and one that fails makes it no longer (C4)", () => {
    const { call, gate, calls } = late();
    const before = gate.describe();
    call.record("SUCCESS", 1);
    expect(gate.describe()).toEqual(before);
    const other = late();
    other.call.record("FAILURE", 1);
    expect(other.gate.describe()).toEqual(before);
    expect(calls("S")).toBe(0);
  });

  test("that fails once it is closed again is not counted (C4)", () => {
    const { clock, call, gate, calls } = late();
    clock.advance(1_000);
    calls("S");
    call.record("FAILURE", 2_000);
    call.broke("FAILURE");
    expect(gate.describe()).toMatchObject({ state: "CLOSED", calls: 0, failures: 0 });
  });

  test("that was an earlier probe says nothing about the next one (C4)", () => {
    const { clock, gate, stateOf } = late();
    clock.advance(1_000);
    const earlier = permitOf(gate);
    clock.advance(60_000);
    expect(gate.isOpen()).toBe(true);
    clock.advance(1_000);
    const probe = permitOf(gate);
    earlier.record("SUCCESS", 61_000);
    expect(stateOf()).toBe("HALF_OPEN");
    earlier.record("FAILURE", 61_000);
    expect(stateOf()).toBe("HALF_OPEN");
    probe.record("SUCCESS", 1);
    expect(stateOf()).toBe("CLOSED");
  });
});

describe("an operator's order", () => {
  test("FORCED_OPEN lets nothing through, for as long as it stands", () => {
    const { clock, gate, changes, calls } = breaking();
    gate.order("FORCED_OPEN");
    expect(calls("SSSSS", 60_000)).toBe(0);
    clock.advance(3_600_000);
    expect(gate.isOpen()).toBe(true);
    expect(gate.describe()).toMatchObject({ order: "FORCED_OPEN", calls: 0 });
    expect(changes).toEqual([]);
    gate.order(undefined);
    expect(gate.isOpen()).toBe(false);
    expect(calls("S")).toBe(1);
  });

  test("DISABLED lets all through and counts nothing", () => {
    const { gate, changes, calls } = breaking();
    gate.order("DISABLED");
    expect(calls("F".repeat(100))).toBe(100);
    gate.acquire()?.broke("FAILURE");
    expect(gate.isOpen()).toBe(false);
    expect(gate.describe()).toMatchObject({ state: "CLOSED", order: "DISABLED", calls: 0, failures: 0 });
    expect(changes).toEqual([]);
  });

  test("METRICS_ONLY counts and never opens; taking it back forgets what it counted", () => {
    const { gate, changes, calls } = breaking();
    gate.order("METRICS_ONLY");
    expect(calls("F".repeat(100))).toBe(100);
    expect(gate.isOpen()).toBe(false);
    expect(gate.describe()).toMatchObject({ state: "CLOSED", calls: 100, failures: 100 });
    expect(changes).toEqual([]);
    gate.order(undefined);
    expect(gate.describe()).toMatchObject({ order: undefined, calls: 0, failures: 0 });
    calls("FFFF");
    expect(changes).toEqual([]);
    calls("F");
    expect(changes).toEqual(["CLOSED-OPEN CONSECUTIVE"]);
  });

  test.each(["DISABLED", "METRICS_ONLY"] as const)("%s lets through what is open, and says so", (order) => {
    const { gate, changes, calls } = breaking();
    calls("FFFFF");
    gate.order(order);
    expect(changes.slice(1)).toEqual(["OPEN-CLOSED ORDERED"]);
    expect(calls("S")).toBe(1);
  });

  test.each(["FORCED_OPEN", "DISABLED", "METRICS_ONLY"] as const)(
    "%s hears nothing of calls that began before it, nor does what comes after it",
    (order) => {
      const { gate, stateOf } = breaking();
      const before = Array.from({ length: 10 }, () => permitOf(gate));
      gate.order(order);
      for (const call of before.slice(0, 5)) call.record("FAILURE", 1);
      expect(gate.describe()).toMatchObject({ calls: 0, failures: 0 });
      gate.order(undefined);
      for (const call of before.slice(5)) call.record("FAILURE", 1);
      expect(gate.describe()).toMatchObject({ calls: 0, failures: 0 });
      expect(stateOf()).toBe("CLOSED");
    },
  );

  test("taken back while a probe runs begins anew as closed, with the shortest wait", () => {
    const { clock, gate, changes, calls } = breaking();
    calls("FFFFF");
    clock.advance(1_000);
    calls("F");
    clock.advance(2_000);
    const probe = permitOf(gate);
    gate.order(undefined);
    probe.record("FAILURE", 1);
    expect(changes.at(-1)).toBe("HALF_OPEN-CLOSED ORDERED");
    expect(gate.describe()).toMatchObject({ state: "CLOSED", trips: 0, calls: 0 });
    calls("FFFFF");
    expect(gate.describe()).toMatchObject({ trips: 1, probesInMs: 1_000 });
  });
});
