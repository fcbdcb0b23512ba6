import { beforeEach, expect, test } from "vitest";
import { transaction } from "../store/transaction.ts";
import { meshDatabase } from "../testing/mesh-database.ts";
import { pruneInbox, pruneOutbox } from "./prune.ts";
import { DEAD_LETTERS } from "./streams.ts";

const { sql } = await meshDatabase();
beforeEach(async () => {
  await sql`TRUNCATE outbox, inbox_failure, inbox, inbox_cursor`;
});

/** Puts a row into the outbox that was published so long ago; null: not yet. */
async function row(type: string, stream: string, publishedAgo: string | null): Promise<void> {
  await sql`
    INSERT INTO outbox (event_id, stream, subject, type, headers, payload, created_at, published_at)
    VALUES (gen_random_uuid(), ${stream}, 'x', ${type}, '{}', '', now() - interval '1 year',
            ${publishedAgo === null ? sql`NULL` : sql`now() - ${publishedAgo}::interval`})`;
}

const left = async () => (await sql`SELECT type FROM outbox ORDER BY type`).map(({ type }) => type);

test("what was published is kept as long as its stream keeps it, and what was not is kept", async () => {
  await row("event, fresh", "EVT_ORDER", "6 days 23 hours");
  await row("event, old", "EVT_ORDER", "7 days 1 hour");
  await row("event, pending", "EVT_ORDER", null);
  await row("letter, fresh", "DLQ", "29 days 23 hours");
  await row("letter, old", "DLQ", "30 days 1 hour");
  const plans = [DEAD_LETTERS, { ...DEAD_LETTERS, name: "EVT_ORDER", maxAgeMs: 7 * 86_400_000 }];
  const pruned = () => Promise.all(plans.map((plan) => transaction(sql, pruneOutbox(plan))));
  expect(await pruned()).toEqual([1, 1]);
  expect(await left()).toEqual(["event, fresh", "event, pending", "letter, fresh"]);
  expect(await pruned()).toEqual([0, 0]);
});

test("failures that nothing can be redelivered for any more are forgotten", async () => {
  for (const ago of ["14 days", "16 days"]) {
    await sql`
      INSERT INTO inbox_failure (consumer, event_id, attempts, first_failed_at)
      VALUES (${ago}, gen_random_uuid(), 1, now() - ${ago}::interval)`;
  }
  expect(await transaction(sql, pruneInbox)).toBe(1);
  expect((await sql`SELECT consumer FROM inbox_failure`).map(({ consumer }) => consumer)).toEqual([
    "14 days",
  ]);
});

test("what was handled is known for as long as it can come again", async () => {
  for (const ago of ["14 days", "16 days"]) {
    await sql`
      INSERT INTO inbox (consumer, event_id, processed_at)
      VALUES (${ago}, gen_random_uuid(), now() - ${ago}::interval)`;
  }
  expect(await transaction(sql, pruneInbox)).toBe(1);
  expect((await sql`SELECT consumer FROM inbox`).map(({ consumer }) => consumer)).toEqual(["14 days"]);
});

test("keys that were idle for a month are forgotten, except those that are parked", async () => {
  for (const [key, ago, parkedUntil] of [
    ["busy", "29 days", 0],
    ["idle", "31 days", 0],
    ["was parked", "31 days", 7],
    ["parked", "31 days", 8],
  ] as const) {
    await sql`
      INSERT INTO inbox_cursor (consumer, stream, key, last_seq, parked_until, updated_at)
      VALUES ('toy__moves', 'EVT_TOY', ${key}, 7, ${parkedUntil}, now() - ${ago}::interval)`;
  }
  expect(await transaction(sql, pruneInbox)).toBe(2);
  expect((await sql`SELECT key FROM inbox_cursor ORDER BY key`).map(({ key }) => key)).toEqual([
    "busy",
    "parked",
  ]);
});
