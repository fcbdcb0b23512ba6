import { beforeEach, expect, test } from "vitest";
import { meshDatabase } from "../testing/mesh-database.ts";
import { outboxBytes, outboxStats, quarantine } from "./outbox-stats.ts";

const { sql } = await meshDatabase();
beforeEach(async () => {
  await sql`TRUNCATE outbox`;
});

interface Row {
  readonly stream: string;
  readonly state: "pending" | "published" | "quarantined";
  readonly ageS?: number;
  readonly seq?: number;
}

async function rows(...given: readonly Row[]): Promise<void> {
  for (const { stream, state, ageS = 0, seq = null } of given) {
    await sql`
      INSERT INTO outbox (event_id, stream, subject, type, headers, payload, created_at, published_at, stream_seq,
                          failed_at, error)
      VALUES (gen_random_uuid(), ${stream}, 'x', 'x', '{}', '', now() - ${ageS} * interval '1 second',
              ${state === "published" ? sql`now()` : null}, ${seq},
              ${state === "quarantined" ? sql`now()` : null}, ${state === "quarantined" ? `no ${ageS}` : null})`;
  }
}

test("each stream is counted by itself, one that has nothing too", async () => {
  await rows(
    { stream: "A", state: "pending", ageS: 50 },
    { stream: "A", state: "pending", ageS: 100 },
    { stream: "A", state: "published", ageS: 500, seq: 7 },
    { stream: "A", state: "published", ageS: 500, seq: 9 },
    { stream: "A", state: "quarantined", ageS: 700 },
    { stream: "B", state: "published", seq: 3 },
  );
  const [c, a, b] = await outboxStats(sql, ["C", "A", "B"]);
  expect(c).toEqual({
    stream: "C",
    pending: 0,
    oldestPendingAgeMs: undefined,
    quarantined: 0,
    lastStreamSeq: 0,
  });
  expect(a).toMatchObject({ stream: "A", pending: 2, quarantined: 1, lastStreamSeq: 9 });
  expect(a?.oldestPendingAgeMs).toBeGreaterThanOrEqual(100_000);
  expect(a?.oldestPendingAgeMs).toBeLessThan(500_000);
  expect(b).toMatchObject({ pending: 0, quarantined: 0, lastStreamSeq: 3 });
});

test("what is set aside is shown with what the broker said, the oldest first, as much as is asked", async () => {
  await rows(
    { stream: "A", state: "quarantined", ageS: 3 },
    { stream: "A", state: "quarantined", ageS: 2 },
    { stream: "A", state: "pending" },
    { stream: "B", state: "quarantined", ageS: 1 },
  );
  const found = await quarantine(sql, "A", 20);
  expect(found).toMatchObject([
    { error: "no 3", key: undefined, keySeq: undefined },
    { error: "no 2", failedAt: expect.any(Date) },
  ]);
  expect(await quarantine(sql, "A", 1)).toEqual(found.slice(0, 1));
});

test("the size of the outbox is that of its table with all that belongs to it", async () => {
  const before = await outboxBytes(sql);
  await rows(...Array.from({ length: 200 }, (): Row => ({ stream: "A", state: "pending" })));
  expect(await outboxBytes(sql)).toBeGreaterThan(before);
});
