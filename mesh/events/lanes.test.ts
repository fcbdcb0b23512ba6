import { expect, test } from "vitest";
import { random } from "../testing/random.ts";
import { Lanes } from "./lanes.ts";

/** Work whose end a test decides, and what has begun so far. */
function pieces(lanes: Lanes) {
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  return {
    begun,
    push(lane: string, name: string) {
      lanes.push(lane, () => {
        begun.push(name);
        return new Promise<void>((resolve) => ends.set(name, resolve));
      });
    },
    /** Ends a piece, and lets what follows begin. */
    async end(name: string) {
      ends.get(name)?.();
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

test("in a lane one piece follows the other; lanes run side by side", async () => {
  const work = pieces(new Lanes(4));
  for (const name of ["a1", "a2", "b1"]) work.push(name[0] as string, name);
  expect(work.begun).toEqual(["a1", "b1"]);
  await work.end("b1");
  expect(work.begun).toEqual(["a1", "b1"]);
  await work.end("a1");
  expect(work.begun).toEqual(["a1", "b1", "a2"]);
});

test("no more lanes run than may, and the others begin in the order in which they came", async () => {
  const work = pieces(new Lanes(2));
  for (const name of ["a1", "b1", "c1", "d1"]) work.push(name[0] as string, name);
  expect(work.begun).toEqual(["a1", "b1"]);
  await work.end("b1");
  await work.end("a1");
  expect(work.begun).toEqual(["a1", "b1", "c1", "d1"]);
});

test("a busy lane does not keep the others waiting", async () => {
  const work = pieces(new Lanes(1));
  for (const name of ["a1", "a2", "a3", "b1", "c1"]) work.push(name[0] as string, name);
  for (const name of ["a1", "b1", "c1", "a2", "a3"]) await work.end(name);
  expect(work.begun).toEqual(["a1", "b1", "c1", "a2", "a3"]);
});

test("clearing forgets what has not begun, and says how much; the lanes can be used again", async () => {
  const lanes = new Lanes(2);
  const work = pieces(lanes);
  for (const name of ["a1", "a2", "a3", "b1", "c1", "c2"]) work.push(name[0] as string, name);
  expect(lanes.clear()).toBe(4);
  const settled = lanes.settled();
  await work.end("a1");
  await work.end("b1");
  await settled;
  expect(work.begun).toEqual(["a1", "b1"]);
  work.push("a", "a4");
  expect(work.begun.at(-1)).toBe("a4");
});

test("it is settled when nothing runs or waits", async () => {
  const lanes = new Lanes(1);
  await lanes.settled();
  const work = pieces(lanes);
  for (const name of ["a1", "a2"]) work.push("a", name);
  let isSettled = false;
  const settled = lanes.settled().then(() => {
    isSettled = true;
  });
  await work.end("a1");
  expect(isSettled).toBe(false);
  await work.end("a2");
  await settled;
});

test("while a piece has given its turn away one of another lane runs, and none of its own", async () => {
  const lanes = new Lanes(1);
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const turns = new Map<string, () => void>();
  const push = (lane: string, name: string) =>
    lanes.push(lane, (giveTurn) => {
      begun.push(name);
      turns.set(name, giveTurn);
      return new Promise<void>((resolve) => ends.set(name, resolve));
    });
  const end = async (name: string) => {
    ends.get(name)?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  push("a", "a1");
  push("a", "a2");
  push("b", "b1");
  push("c", "c1");
  turns.get("a1")?.();
  turns.get("a1")?.();
  expect(begun).toEqual(["a1", "b1"]);
  // One waits already: this one keeps its turn.
  turns.get("b1")?.();
  expect(begun).toEqual(["a1", "b1"]);
  await end("a1");
  expect(begun).toEqual(["a1", "b1"]);
  turns.get("b1")?.();
  expect(begun).toEqual(["a1", "b1", "c1"]);
  await end("b1");
  // What is over has no turn to give.
  turns.get("b1")?.();
  turns.get("a1")?.();
  expect(begun).toEqual(["a1", "b1", "c1"]);
  await end("c1");
  await end("a2");
  expect(begun).toEqual(["a1", "b1", "c1", "a2"]);
  await lanes.settled();
});

test("any work is done once, in the order of its lane, with at most as many lanes at a time as may", async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const chances = random(seed);
    const concurrency = 1 + chances.below(4);
    let waiting = 0;
    const lanes = new Lanes(concurrency);
    const done: string[] = [];
    const runningNow = new Set<string>();
    const pushed: string[] = [];
    for (let n = 0; n < 40; n++) {
      const lane = chances.pick(["a", "b", "c", "d", "e", "f"]);
      const name = `${lane}${n}`;
      const turns = chances.below(3);
      const waits = chances.chance(0.5);
      pushed.push(name);
      lanes.push(lane, async (giveTurn) => {
        expect(runningNow.has(lane)).toBe(false);
        runningNow.add(lane);
        expect(runningNow.size).toBeLessThanOrEqual(concurrency + Math.min(waiting, 1));
        for (let turn = 0; turn < turns; turn++) await Promise.resolve();
        if (waits) {
          waiting++;
          giveTurn();
          await Promise.resolve();
          waiting--;
        }
        runningNow.delete(lane);
        done.push(name);
      });
      if (chances.chance(0.3)) await new Promise((resolve) => setImmediate(resolve));
    }
    await lanes.settled();
    expect([...done].sort()).toEqual([...pushed].sort());
    for (const lane of ["a", "b", "c", "d", "e", "f"]) {
      const of = (names: readonly string[]) => names.filter((name) => name[0] === lane);
      expect(of(done)).toEqual(of(pushed));
    }
  }
});
