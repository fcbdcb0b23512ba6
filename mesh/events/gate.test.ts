import { beforeEach, expect, test } from "vitest";
import { newId } from "../core/ids.ts";
import { type Tx, transaction } from "../store/transaction.ts";
import { meshDatabase } from "../testing/mesh-database.ts";
import { until } from "../testing/until.ts";
import {
  advance,
  advanceReplayed,
  advanceRuns,
  beginWith,
  type Cursor,
  cursorOf,
  judge,
  type Place,
  park,
  parkPastLost,
  passLost,
  postpone,
  skip,
} from "./gate.ts";

const { sql } = await meshDatabase();

let key = "";
let count = 0;
beforeEach(() => {
  key = `key-${++count}`;
});

const at = (seq: number, consumer = "test__moves"): Place => ({ consumer, stream: "EVT_TEST", key, seq });
type Step = (tx: Tx, place: Place, eventId: string) => Promise<boolean>;
const run = (step: Step, seq: number, eventId = newId()) =>
  transaction(sql, (tx) => step(tx, at(seq), eventId));
const progress = async () => {
  const cursor = await cursorOf(sql, at(0));
  return cursor && [cursor.lastSeq, cursor.parkedUntil];
};

test("the events of a key pass one after the other, each once", async () => {
  expect(await run(advance, 1)).toBe(true);
  expect(await run(advance, 1)).toBe(false);
  expect(await run(advance, 3)).toBe(false);
  expect(await run(advance, 2)).toBe(true);
  expect(await run(advance, 3)).toBe(true);
  expect(await progress()).toEqual([3, 0]);
});

test("only the first event of a key passes when nothing of it was seen", async () => {
  expect(await run(advance, 2)).toBe(false);
  expect(await progress()).toBeUndefined();
});

test("an event whose transaction rolls back has not passed", async () => {
  await run(advance, 1);
  const failing = transaction(sql, async (tx) => {
    expect(await advance(tx, at(2))).toBe(true);
    throw new Error("the handler failed");
  });
  await expect(failing).rejects.toThrow("the handler failed");
  expect(await progress()).toEqual([1, 0]);
  expect(await run(advance, 2)).toBe(true);
});

test("consumers, streams and keys have nothing to do with each other", async () => {
  await run(advance, 1);
  const others = [
    { ...at(1), consumer: "other__moves" },
    { ...at(1), stream: "EVT_OTHER" },
    { ...at(1), key: `${key}-other` },
  ];
  for (const place of others) expect(await transaction(sql, (tx) => advance(tx, place))).toBe(true);
});

test.each([1, 2])(
  "of two that hold event %i at the same time one passes, and the other waits for it",
  async (seq) => {
    if (seq > 1) await run(advance, 1);
    const held = Promise.withResolvers<void>();
    const passed: string[] = [];
    const first = transaction(sql, async (tx) => {
      if (await advance(tx, at(seq))) passed.push("first");
      const second = run(advance, seq).then((did) => did && passed.push("second"));
      await until(async () => {
        const waiting = await sql`
        SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`;
        return waiting.length > 0;
      });
      held.resolve(second.then(() => {}));
    });
    await first;
    await held.promise;
    expect(passed).toEqual(["first"]);
    expect(await progress()).toEqual([seq, 0]);
  },
);

test("if the holder of an event rolls back, the one that waited passes", async () => {
  const second = Promise.withResolvers<boolean>();
  const first = transaction(sql, async (tx) => {
    await advance(tx, at(1));
    second.resolve(run(advance, 1));
    await until(async () => {
      const waiting = await sql`
        SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`;
      return waiting.length > 0;
    });
    throw new Error("the handler failed");
  });
  await expect(first).rejects.toThrow();
  expect(await second.promise).toBe(true);
});

const cursor = (lastSeq: number, parkedUntil = 0): Cursor => ({
  lastSeq,
  parkedUntil,
  retryAt: null,
  parkedBy: null,
});
const gone = async () => true;
const there = async () => false;
const notAsked = async (): Promise<boolean> => {
  throw new Error("the stream was asked, and it does not matter");
};

const verdicts: [string, number, Cursor | undefined, () => Promise<boolean>, string][] = [
  ["an event that was handled is done", 3, cursor(3), notAsked, "done"],
  ["an event before that is done", 1, cursor(3), notAsked, "done"],
  ["a dead letter of a parked key is done", 4, cursor(3, 5), notAsked, "done"],
  ["the last dead letter of a parked key is done", 5, cursor(3, 5), notAsked, "done"],
  ["the next event of a parked key is blocked", 6, cursor(3, 5), notAsked, "blocked"],
  [
    "a later event of a parked key waits: the one before it is no dead letter yet",
    7,
    cursor(3, 5),
    there,
    "gap",
  ],
  ["the next event after all waits for its own turn", 4, cursor(3), notAsked, "gap"],
  ["the first event of a key waits for whoever holds it", 1, undefined, notAsked, "gap"],
  ["an event ahead of its turn waits", 5, cursor(3), there, "gap"],
  ["an event of a new key waits if the one before it can still come", 4, undefined, there, "gap"],
  ["an event of a new key begins it if the one before it is gone", 4, undefined, gone, "baseline"],
  ["events between the last and this one are lost", 5, cursor(3), gone, "historyLost"],
  ["events after a parked one are lost", 7, cursor(3, 5), gone, "historyLost"],
];
test.each(verdicts)("%s", async (_, seq, known, predecessorIsGone, verdict) => {
  expect(await judge(seq, known, predecessorIsGone)).toBe(verdict);
});

test("a key begins where the stream begins, once", async () => {
  expect(await run(beginWith, 4)).toBe(true);
  expect(await run(beginWith, 4)).toBe(false);
  expect(await run(beginWith, 9)).toBe(false);
  expect(await progress()).toEqual([4, 0]);
});

test("parking stops a key at the dead letter: nothing passes any more", async () => {
  await run(advance, 1);
  expect(await run(park, 2)).toBe(true);
  expect(await progress()).toEqual([1, 2]);
  expect(await run(advance, 2)).toBe(false);
  expect(await run(advance, 3)).toBe(false);
});

test("the first event of a key can be parked", async () => {
  expect(await run(park, 1)).toBe(true);
  expect(await progress()).toEqual([0, 1]);
  expect(await run(advance, 1)).toBe(false);
  expect(await run(advance, 2)).toBe(false);
});

test("parked events are contiguous, so that none is taken for a dead letter that is not", async () => {
  await run(advance, 1);
  expect(await run(park, 3)).toBe(false);
  expect(await run(park, 2)).toBe(true);
  expect(await run(park, 4)).toBe(false);
  expect(await run(park, 3)).toBe(true);
  expect(await run(park, 3)).toBe(false);
  expect(await progress()).toEqual([1, 3]);
});

test("a parked key knows the event that parked it, until another does", async () => {
  const [first, second, third] = [newId(), newId(), newId()];
  await run(park, 1, first);
  await run(park, 2, second);
  expect((await cursorOf(sql, at(0)))?.parkedBy).toBe(first);
  for (const seq of [1, 2]) expect(await replayed(seq)).toBe(true);
  await run(park, 3, third);
  expect((await cursorOf(sql, at(0)))?.parkedBy).toBe(third);
});

test("an event that was handled meanwhile is not parked", async () => {
  await run(advance, 1);
  expect(await run(park, 1)).toBe(false);
  expect(await progress()).toEqual([1, 0]);
});

test("skipping goes past the next event only", async () => {
  await run(advance, 1);
  expect(await run(skip, 3)).toBe(false);
  expect(await progress()).toEqual([1, 0]);
  expect(await run(skip, 2)).toBe(true);
  expect(await run(skip, 2)).toBe(false);
  expect(await progress()).toEqual([2, 0]);
});

test("skipping the event that a key begins with begins the key", async () => {
  expect(await run(skip, 4)).toBe(true);
  expect(await progress()).toEqual([4, 0]);
});

test("what is lost can be passed, parked or not, and only if it is before the event", async () => {
  await run(advance, 1);
  expect(await run(passLost, 4)).toBe(true);
  expect(await progress()).toEqual([4, 0]);
  expect(await run(passLost, 3)).toBe(false);
  expect(await run(parkPastLost, 9)).toBe(true);
  expect(await run(parkPastLost, 8)).toBe(false);
  expect(await progress()).toEqual([4, 9]);
  expect(await run(passLost, 10)).toBe(true);
  expect(await run(advance, 11)).toBe(true);
});

const replayed = (seq: number, isPastLost = false) =>
  transaction(sql, (tx) => advanceReplayed(tx, at(seq), { isPastLost }));

test("a parked key goes on with its dead letters, each in its turn, and is live again after the last", async () => {
  await run(advance, 1);
  for (const seq of [2, 3]) await run(park, seq);
  expect(await replayed(3)).toBe(false);
  expect(await replayed(2)).toBe(true);
  expect(await run(advance, 4)).toBe(false);
  expect(await replayed(3)).toBe(true);
  expect(await run(advance, 4)).toBe(true);
});

test("a dead letter that was passed leaves its key where it is", async () => {
  for (const seq of [1, 2, 3]) await run(advance, seq);
  expect(await replayed(2)).toBe(true);
  expect(await progress()).toEqual([3, 0]);
});

test("a dead letter of a key that is forgotten passes, and does not begin it", async () => {
  expect(await replayed(7)).toBe(true);
  expect(await progress()).toBeUndefined();
});

test("a dead letter after lost events passes without them, but not beyond what is parked", async () => {
  await run(advance, 1);
  await run(parkPastLost, 9);
  expect(await replayed(9)).toBe(false);
  expect(await replayed(10, true)).toBe(false);
  expect(await replayed(9, true)).toBe(true);
  expect(await run(advance, 10)).toBe(true);
});

test("a postponed key says when to come again, until its next event passes", async () => {
  await run(advance, 1);
  await transaction(sql, (tx) => postpone(tx, at(2), 60_000));
  const [row] = await sql<{ ms: number }[]>`
    SELECT extract(epoch FROM retry_at - updated_at)::int * 1000 AS ms FROM inbox_cursor WHERE key = ${key}`;
  expect(row?.ms).toBeGreaterThanOrEqual(59_000);
  await run(advance, 2);
  expect((await cursorOf(sql, at(0)))?.retryAt).toBeNull();
});

/** Keys of this test alone. */
const keys = (...names: string[]) => names.map((name) => `${key}-${name}`) as [string, ...string[]];
const common = { consumer: "test__moves", stream: "EVT_TEST" };
const runsPassed = async (runs: readonly (readonly [string, number, number])[]) => {
  const passed = await transaction(sql, (tx) =>
    advanceRuns(
      tx,
      common,
      runs.map(([key, first, last]) => ({ key, first, last })),
    ),
  );
  return [...passed].sort();
};
const lastOf = async (key: string) => (await cursorOf(sql, { ...at(0), key }))?.lastSeq;

test("of runs together those pass that are next as a whole, and of the others nothing", async () => {
  const [begun, fresh, dup, ahead, late, parked] = keys("begun", "fresh", "dup", "ahead", "late", "parked");
  for (const each of [begun, dup, ahead, parked] as string[])
    await transaction(sql, (tx) => advance(tx, { ...at(1), key: each }));
  await transaction(sql, (tx) => park(tx, { ...at(2), key: parked as string }, newId()));
  const runs = [
    [begun, 2, 4],
    [fresh, 1, 3],
    [dup, 1, 2],
    [ahead, 3, 4],
    [late, 2, 2],
    [parked, 2, 3],
  ] as [string, number, number][];
  expect(await runsPassed(runs)).toEqual([begun, fresh]);
  const all = await Promise.all(runs.map(([each]) => lastOf(each)));
  expect(all).toEqual([4, 3, 1, 1, undefined, 1]);
  expect(await runsPassed(runs)).toEqual([]);
});

test("a key that somebody else holds does not pass with others, nor keeps them waiting", async () => {
  const [held, free] = keys("held", "free");
  for (const each of [held, free] as string[])
    await transaction(sql, (tx) => advance(tx, { ...at(1), key: each }));
  await transaction(sql, async (tx) => {
    await advance(tx, { ...at(2), key: held });
    const runs = [
      [held, 2, 3],
      [free, 2, 3],
    ] as [string, number, number][];
    expect(await runsPassed(runs)).toEqual([free]);
  });
  expect([await lastOf(held), await lastOf(free as string)]).toEqual([2, 3]);
});

test("of two who begin the same keys together, in whatever order they name them, one passes", async () => {
  const names = keys("a", "b", "c");
  const runs = names.map((name) => [name, 1, 2] as [string, number, number]);
  const both = await Promise.all([runsPassed(runs), runsPassed(runs.toReversed())]);
  expect(both.flat().sort()).toEqual(names);
  expect(await Promise.all(names.map(lastOf))).toEqual([2, 2, 2]);
});

test("passing runs reads the keys that they name, however many the consumer has", async () => {
  const owner = { consumer: "test__many", stream: "EVT_TEST" };
  const all = Array.from({ length: 2_000 }, (_, n) => `many-${n}`);
  const runsAt = (seq: number, names: string[]) => names.map((key) => ({ key, first: seq, last: seq }));
  await transaction(sql, (tx) => advanceRuns(tx, owner, runsAt(1, all)));
  const rowsRead = await transaction(sql, async (tx) => {
    expect((await advanceRuns(tx, owner, runsAt(2, all.slice(0, 10)))).size).toBe(10);
    const [row] = await tx<{ rows: number }[]>`
      SELECT (seq_tup_read + coalesce(idx_tup_fetch, 0))::int AS rows FROM pg_stat_xact_user_tables
      WHERE relname = 'inbox_cursor'`;
    return row?.rows;
  });
  expect(rowsRead).toBeGreaterThan(0);
  expect(rowsRead).toBeLessThan(100);
});

test("runs whose transaction rolls back have not passed", async () => {
  const [begun, fresh] = keys("begun", "fresh");
  await transaction(sql, (tx) => advance(tx, { ...at(1), key: begun }));
  const failing = transaction(sql, async (tx) => {
    const runs = [
      { key: begun, first: 2, last: 3 },
      { key: fresh as string, first: 1, last: 1 },
    ];
    expect((await advanceRuns(tx, common, runs)).size).toBe(2);
    throw new Error("a handler failed");
  });
  await expect(failing).rejects.toThrow("a handler failed");
  expect([await lastOf(begun), await lastOf(fresh as string)]).toEqual([1, undefined]);
});
