import { getEventListeners } from "node:events";
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { refusalOf } from "../testing/refusal.ts";
import { isQuiet, settled } from "../testing/toy-calls.ts";
import { bulkhead } from "./bulkhead.ts";
import { outcomeOf } from "./outcome.ts";

const FULL = { code: "Unavailable", reason: "BULKHEAD_FULL", domain: "mesh.weft" };

function bounded(maxConcurrent: number, maxQueue = 0) {
  const clock = manualClock();
  const places = bulkhead({ maxConcurrent, maxQueue }, clock);
  const entered: string[] = [];
  /** Enters under a name; those who got in are noted in their order. */
  function enter(name = "", { leftMs = 10_000, signal = new AbortController().signal } = {}) {
    const place = Promise.try(() => places.enter(leftMs, signal));
    place.then(
      () => void entered.push(name),
      () => {},
    );
    return place;
  }
  return { clock, places, enter, entered };
}

test("lets so many in and refuses the next at once", async () => {
  const { clock, places, enter } = bounded(2);
  await enter();
  await enter();
  expect([places.inflight, places.limit]).toEqual([2, 2]);
  expect(await refusalOf(enter())).toEqual(FULL);
  expect(places.inflight).toBe(2);
  expect(await isQuiet(clock)).toBe(true);
});

test("a refusal is none of a server: it is not retried, and not counted", async () => {
  const { enter } = bounded(1);
  await enter();
  const error = await enter().catch((thrown: unknown) => thrown);
  expect(outcomeOf(error)).toMatchObject({ kind: "LOCAL_REJECT", code: Code.Unavailable });
});

test("a place that is given back is another's; giving it back twice is giving it back once", async () => {
  const { places, enter } = bounded(2);
  const leave = await enter();
  await enter();
  leave();
  leave();
  expect(places.inflight).toBe(1);
  await enter();
  expect(await refusalOf(enter())).toEqual(FULL);
});

test("who has left already is not let in, though there is a place", async () => {
  const { places, enter } = bounded(1);
  await expect(enter("", { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: Code.Canceled });
  expect(places.inflight).toBe(0);
});

describe("the queue", () => {
  test("is first come, first served, and holds so many", async () => {
    const { places, enter, entered } = bounded(1, 3);
    const leave = await enter("running");
    for (const name of ["first", "second", "third"]) enter(name).then((leave) => leave());
    expect(await refusalOf(enter("fourth"))).toEqual(FULL);
    leave();
    await settled();
    expect(entered).toEqual(["running", "first", "second", "third"]);
    expect(places.inflight).toBe(0);
  });

  test("hands a place on without letting anybody in between", async () => {
    const { places, enter, entered } = bounded(1, 1);
    const leave = await enter("running");
    enter("waiting");
    leave();
    expect(places.inflight).toBe(1);
    expect(await refusalOf(Promise.all([enter("next"), enter("one too many")]))).toEqual(FULL);
    expect(entered).toEqual(["running", "waiting"]);
  });

  test.each([
    ["a quarter of what is left", 200, 50],
    ["100 ms at most", 10_000, 100],
    ["100 ms for a call without an end", Number.POSITIVE_INFINITY, 100],
  ])("keeps nobody for longer than %s", async (_, leftMs, waitMs) => {
    const { clock, enter } = bounded(1, 1);
    await enter();
    let isOver = false;
    const waiting = refusalOf(enter("", { leftMs })).finally(() => {
      isOver = true;
    });
    clock.advance(waitMs - 0.1);
    await settled();
    expect(isOver).toBe(false);
    clock.advance(0.1);
    expect(await waiting).toEqual(FULL);
    // Its place in the queue is another's.
    const next = enter();
    clock.advance(99);
    await settled();
    expect(await Promise.race([next, "still waiting"])).toBe("still waiting");
  });

  test("forgets who leaves: those behind keep their turn, and no place is lost", async () => {
    const { places, enter, entered } = bounded(1, 2);
    const leave = await enter("running");
    const caller = new AbortController();
    const leaving = enter("leaving", { signal: caller.signal });
    enter("behind");
    caller.abort();
    await expect(leaving).rejects.toMatchObject({ code: Code.Canceled });
    expect(outcomeOf(await leaving.catch((thrown: unknown) => thrown)).kind).toBe("CALLER_CANCEL");
    // There is a place in the queue again.
    enter("later");
    leave();
    await settled();
    expect(entered).toEqual(["running", "behind"]);
    expect(places.inflight).toBe(1);
  });

  test("leaves no timer and no listener with those who got in, gave up or left", async () => {
    const { clock, enter } = bounded(1, 3);
    const callers = Array.from({ length: 4 }, () => new AbortController());
    const [running, next, patient, leaving] = callers.map(({ signal }, i) =>
      enter("", { signal, leftMs: i === 2 ? 40 : 10_000 }),
    );
    const left = expect(leaving).rejects.toMatchObject({ code: Code.Canceled });
    callers[3]?.abort();
    await left;
    const gaveUp = expect(patient).rejects.toMatchObject({ code: Code.Unavailable });
    clock.advance(10);
    await gaveUp;
    (await running)?.();
    await next;
    expect(await isQuiet(clock)).toBe(true);
    expect(callers.map(({ signal }) => getEventListeners(signal, "abort").length)).toEqual([0, 0, 0, 0]);
  });
});
