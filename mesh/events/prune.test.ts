import { beforeEach, expect, test } from "vitest";
import { transaction } from "../store/transaction.ts";
import { meshDatabase } from "../testing/mesh-database.ts";
import { pruneInbox, pruneOutbox } from "./prune.ts";
import { DEAD_LETTERS } from "./streams.ts";

const { sql } = await meshDatabase();
beforeEach(async () => {
  await sql`TRUNCATE outbox, inbox_failure`;
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
