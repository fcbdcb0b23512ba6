import { expect, test } from "vitest";
import { transaction } from "../store/transaction.ts";
import { meshDatabase } from "../testing/mesh-database.ts";
import { until } from "../testing/until.ts";
import { latestProgress, replaceRuns } from "./latest.ts";

const { sql } = await meshDatabase();

const at = (key: string, seq: number) =>
  latestProgress({ consumer: "test__moves", stream: "EVT_TEST", key, seq });
const pass = (key: string, seq: number) => transaction(sql, (tx) => at(key, seq).pass(tx));

test("what is newer passes, gaps or not, and what is older or the same is done", async () => {
  const passed: number[] = [];
  for (const seq of [4, 6, 5, 6, 1, 9]) if (await pass("a", seq)) passed.push(seq);
  expect(passed).toEqual([4, 6, 9]);
  expect(await at("a", 5).judge()).toEqual({ verdict: "done" });
  expect(await pass("b", 1)).toBe(true);
});

test("a dead letter is passed once, and not at all if a newer event has replaced it", async () => {
  const bury = (seq: number) => transaction(sql, (tx) => at("c", seq).bury(tx, "permanent"));
  expect(await bury(2)).toBe(true);
  expect(await bury(2)).toBe(false);
  expect(await pass("c", 2)).toBe(false);
  await pass("c", 5);
  expect(await bury(4)).toBe(false);
});

test.each([
  ["a newer event that holds the key replaces an older one", 7, 6, false],
  ["an older event that holds the key is replaced by a newer one", 6, 7, true],
] as const)("%s", async (title, first, second, passes) => {
  const waiting = Promise.withResolvers<boolean>();
  await transaction(sql, async (tx) => {
    expect(await at(title, first).pass(tx)).toBe(true);
    waiting.resolve(pass(title, second));
    await until(async () => {
      const locked = await sql`
        SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`;
      return locked.length > 0;
    });
  });
  expect(await waiting.promise).toBe(passes);
});

test("of rising events together those pass of whose key nothing newer than the first has passed", async () => {
  for (const [key, seq] of [
    ["behind", 3],
    ["ahead", 6],
    ["between", 5],
  ] as const)
    await pass(key, seq);
  const runs = [
    { key: "behind", first: 5, last: 9 },
    { key: "ahead", first: 2, last: 6 },
    { key: "between", first: 4, last: 8 },
    { key: "fresh", first: 7, last: 8 },
  ];
  const place = { consumer: "test__moves", stream: "EVT_TEST" };
  const passed = await transaction(sql, (tx) => replaceRuns(tx, place, runs));
  expect([...passed].sort()).toEqual(["behind", "fresh"]);
  const rows = await sql`
    SELECT key, last_seq FROM inbox_cursor WHERE key IN ('behind', 'ahead', 'between', 'fresh') ORDER BY last_seq, key`;
  expect(rows.map(({ key, last_seq }) => [key, last_seq])).toEqual([
    ["between", 5],
    ["ahead", 6],
    ["fresh", 8],
    ["behind", 9],
  ]);
});
