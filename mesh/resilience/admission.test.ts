import { describe, expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { type Admission, type AdmissionOptions, admission, type Permit } from "./admission.ts";
import type { Sample } from "./limiter.ts";

/** An admission with a limit that the test sets. */
function admitting(limit: number, options: Partial<AdmissionOptions> = {}) {
  const clock = manualClock();
  const samples: Sample[] = [];
  const present = { limit };
  const limiter = { limit: () => present.limit, observe: (sample: Sample) => void samples.push(sample) };
  const gate = admission({ limiter, clock, random: () => 0.5, ...options });
  return { clock, gate, samples, present };
}

async function permitOf(answer: ReturnType<Admission["acquire"]>): Promise<Permit> {
  const settled = await answer;
  if (!settled.isAdmitted) throw new Error(`refused: ${settled.reason}`);
  return settled;
}

/** Lets so many of the most critical in. */
const fill = (gate: Admission, count: number) =>
  Promise.all(Array.from({ length: count }, () => permitOf(gate.acquire("CRITICAL_PLUS"))));

/** Whether it is settled by now. */
async function isWaiting(answer: ReturnType<Admission["acquire"]>): Promise<boolean> {
  const nothing = Symbol();
  return (await Promise.race([answer, Promise.resolve(nothing)])) === nothing;
}

describe("the limit", () => {
  test.each([
    ["CRITICAL_PLUS", 20],
    ["CRITICAL", 18],
    ["SHEDDABLE_PLUS", 14],
    ["SHEDDABLE", 10],
  ] as const)("%s fills it to %i of 20, and as much of the queue", async (criticality, most) => {
    const { gate } = admitting(20);
    const answers = Array.from({ length: 2 * most + 1 }, () => gate.acquire(criticality));
    expect(gate.state()).toMatchObject({ inflight: most, queued: most });
    expect(await answers.at(-1)).toMatchObject({ isAdmitted: false, reason: "full" });
  });

  test("what is less critical finds no place where what is more critical still does", async () => {
    const { gate } = admitting(10);
    await fill(gate, 9);
    for (let n = 0; n < 9; n++) gate.acquire("CRITICAL");
    expect(gate.refusal("CRITICAL")).toMatchObject({ reason: "full" });
    expect(gate.refusal("CRITICAL_PLUS")).toBeUndefined();
    await permitOf(gate.acquire("CRITICAL_PLUS"));
  });

  test("is one for all: what one criticality uses, the others have not; a place given back is theirs", async () => {
    const { gate } = admitting(10);
    const sheddable = Array.from({ length: 5 }, () => gate.acquire("SHEDDABLE"));
    for (let n = 0; n < 20; n++) gate.acquire("CRITICAL");
    expect(gate.state()).toMatchObject({ inflight: 9, queued: 9 });
    await permitOf(gate.acquire("CRITICAL_PLUS"));
    for (const each of sheddable) (await permitOf(each)).release("success");
    // Of the five, one was above what CRITICAL may fill.
    expect(gate.state()).toMatchObject({ inflight: 9, queued: 5 });
  });

  test("of one lets every criticality in", async () => {
    const { gate } = admitting(1);
    await permitOf(gate.acquire("SHEDDABLE"));
  });

  test("that has shrunk lets nobody in until enough have gone", async () => {
    const { gate, present } = admitting(4);
    const permits = await fill(gate, 4);
    present.limit = 2;
    const next = gate.acquire("CRITICAL_PLUS");
    permits[0]?.release("success");
    permits[1]?.release("success");
    expect(await isWaiting(next)).toBe(true);
    permits[2]?.release("success");
    await permitOf(next);
    expect(gate.state()).toMatchObject({ inflight: 2, queued: 0 });
  });
});

describe("the queue", () => {
  test("is first in, first out", async () => {
    const { clock, gate } = admitting(2);
    const [running] = await fill(gate, 2);
    const first = gate.acquire("CRITICAL_PLUS");
    clock.advance(10);
    const second = gate.acquire("CRITICAL_PLUS");
    running?.release("success");
    await permitOf(first);
    expect(await isWaiting(second)).toBe(true);
  });

  test("is last in, first out, once the oldest has waited for more than 10 ms", async () => {
    const { clock, gate } = admitting(2);
    const [running] = await fill(gate, 2);
    const first = gate.acquire("CRITICAL_PLUS");
    clock.advance(11);
    const second = gate.acquire("CRITICAL_PLUS");
    running?.release("success");
    await permitOf(second);
    expect(await isWaiting(first)).toBe(true);
  });

  test("lets the more critical go first", async () => {
    const { gate } = admitting(4);
    const permits = await fill(gate, 4);
    const low = gate.acquire("SHEDDABLE");
    const high = gate.acquire("CRITICAL");
    for (const permit of permits.slice(0, 2)) permit.release("success");
    await permitOf(high);
    expect(await isWaiting(low)).toBe(true);
    for (const permit of permits.slice(2)) permit.release("success");
    await permitOf(low);
  });

  test("keeps nobody for longer than 50 ms", async () => {
    const { clock, gate } = admitting(1);
    await fill(gate, 1);
    const waiting = gate.acquire("CRITICAL_PLUS");
    clock.advance(49.9);
    expect(await isWaiting(waiting)).toBe(true);
    clock.advance(0.1);
    expect(await waiting).toMatchObject({ isAdmitted: false, reason: "waited" });
    expect(gate.state().queued).toBe(0);
  });

  test("forgets who has gone, and leaves no timer and no listener", async () => {
    const { clock, gate } = admitting(2);
    const [running] = await fill(gate, 2);
    const caller = new AbortController();
    const waiting = gate.acquire("CRITICAL_PLUS", { signal: caller.signal });
    const behind = gate.acquire("CRITICAL_PLUS");
    caller.abort();
    expect(await waiting).toMatchObject({ isAdmitted: false, reason: "gone" });
    expect(gate.state().queued).toBe(1);
    running?.release("success");
    await permitOf(behind);
    await clock.whenSleeping(0);
  });

  test("takes nobody who has gone already", async () => {
    const { gate } = admitting(1);
    expect(await gate.acquire("CRITICAL", { signal: AbortSignal.abort() })).toMatchObject({ reason: "gone" });
  });
});

describe("time left", () => {
  test("too little of it is refused at arrival, at any load", async () => {
    const { gate } = admitting(10);
    expect(await gate.acquire("CRITICAL_PLUS", { deadlineMs: 59, minUsefulMs: 60 })).toMatchObject({
      reason: "no_time",
    });
    await permitOf(gate.acquire("CRITICAL_PLUS", { deadlineMs: 60, minUsefulMs: 60 }));
  });

  test("which is less for a call that can start at once: nobody waits behind it", async () => {
    const { gate } = admitting(1);
    const arrival = { deadlineMs: 30, minUsefulMs: 60, minAtOnceMs: 20 };
    await permitOf(gate.acquire("CRITICAL_PLUS", arrival));
    expect(await gate.acquire("CRITICAL_PLUS", arrival)).toMatchObject({ reason: "no_time" });
  });

  test("too little of it is refused when its turn comes, and the next one's comes", async () => {
    const { clock, gate } = admitting(2);
    const [running] = await fill(gate, 2);
    const late = gate.acquire("CRITICAL_PLUS", { deadlineMs: 100, minUsefulMs: 95 });
    const next = gate.acquire("CRITICAL_PLUS", { deadlineMs: 200, minUsefulMs: 95 });
    clock.advance(6);
    running?.release("success");
    expect(await late).toMatchObject({ reason: "no_time" });
    await permitOf(next);
  });
});

test.each([
  [100, ["CRITICAL_PLUS", "CRITICAL", "SHEDDABLE_PLUS", "SHEDDABLE"]],
  [101, ["CRITICAL_PLUS", "CRITICAL"]],
  [500, ["CRITICAL_PLUS", "CRITICAL"]],
  [501, ["CRITICAL_PLUS"]],
])("an event loop that is %i ms late lets %j in", (delayMs, allowed) => {
  const { gate } = admitting(10, { loopDelayMs: () => delayMs });
  const all = ["CRITICAL_PLUS", "CRITICAL", "SHEDDABLE_PLUS", "SHEDDABLE"] as const;
  expect(all.filter((each) => gate.refusal(each) === undefined)).toEqual(allowed);
});

describe("a permit", () => {
  test("tells the limiter how long the call took, its wait included, and how many ran", async () => {
    const { clock, gate, samples } = admitting(1);
    const [running] = await fill(gate, 1);
    const waiting = gate.acquire("CRITICAL_PLUS");
    clock.advance(5);
    running?.release("success");
    const permit = await permitOf(waiting);
    clock.advance(7);
    permit.release("dropped");
    expect(samples).toEqual([
      { rttMs: 5, inflight: 1 },
      { rttMs: 12, inflight: 1 },
    ]);
  });

  test("tells it nothing of a call that says nothing", async () => {
    const { gate, samples } = admitting(1);
    for (const permit of await fill(gate, 1)) permit.release("ignored");
    expect(samples).toEqual([]);
  });

  test("that is released twice is released once", async () => {
    const { gate, samples } = admitting(2);
    const [first] = await fill(gate, 2);
    first?.release("success");
    first?.release("success");
    expect(gate.state().inflight).toBe(1);
    expect(samples).toHaveLength(1);
  });
});

describe("the pushback", () => {
  const pushbackOf = (gate: Admission) => gate.refusal("SHEDDABLE")?.pushbackMs;

  test.each([
    [0, 0, 25],
    [0, 0.999, 75],
    [600, 0, 300],
    [600, 0.5, 600],
    [9_000, 0.5, 2_000],
  ])("for a delay of %i ms and a chance of %d is %i ms", async (delayMs, chance, expected) => {
    const { gate } = admitting(1, { random: () => chance, loopDelayMs: () => delayMs });
    await fill(gate, 1).catch(() => {});
    gate.acquire("CRITICAL_PLUS");
    expect(pushbackOf(gate)).toBe(expected);
  });

  test("is -1 once shedding has lasted for more than 10 s, and no longer after a quiet second", async () => {
    const { clock, gate } = admitting(1, { maxQueueAgeMs: 1e9 });
    await fill(gate, 1);
    gate.acquire("CRITICAL_PLUS");
    pushbackOf(gate);
    for (let second = 1; second <= 10; second++) {
      clock.advance(1_000);
      expect(pushbackOf(gate)).toBeGreaterThan(0);
      expect(gate.state().sheddingForMs).toBe(second * 1_000);
    }
    clock.advance(1);
    expect(pushbackOf(gate)).toBe(-1);
    clock.advance(1_001);
    expect(gate.state().sheddingForMs).toBe(0);
    expect(pushbackOf(gate)).toBeGreaterThan(0);
  });
});

test("every refusal is told, by criticality and reason", () => {
  const told: unknown[] = [];
  const { gate } = admitting(10, { loopDelayMs: () => 200, onShed: (...shed) => told.push(shed) });
  gate.refusal("SHEDDABLE");
  gate.refusal("CRITICAL");
  gate.refusal("CRITICAL", { deadlineMs: 1, minUsefulMs: 2 });
  expect(told).toEqual([
    ["SHEDDABLE", "loop_delay"],
    ["CRITICAL", "no_time"],
  ]);
});
