import { expect, test } from "vitest";
import { silentLog } from "../../mesh/core/log.ts";
import type { Sql } from "../../mesh/store/connect.ts";
import { migrate } from "../../mesh/store/migrate.ts";
import { transaction } from "../../mesh/store/transaction.ts";
import { manualClock } from "../../mesh/testing/clock.ts";
import { meshDatabase } from "../../mesh/testing/mesh-database.ts";
import { openSigningKeys } from "./signing-keys.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const ROTATION_HOURS = 24;

async function database(): Promise<Sql> {
  const { sql } = await meshDatabase();
  await migrate(sql, [{ set: "customer", folder: new URL("migrations/", import.meta.url) }], silentLog);
  return sql;
}

test("instances that make a key at the same moment end with one, and sign with it", async () => {
  const sql = await database();
  const clock = manualClock();
  const instances = [...Array(8).keys()].map(() => openSigningKeys(sql, ROTATION_HOURS, clock));
  for (const sinceStartMs of [0, 24 * HOUR_MS - 15 * MINUTE_MS]) {
    clock.advance(sinceStartMs);
    const published = await Promise.all(instances.map((keys) => keys.published()));
    for (const each of published) expect(each).toEqual(published[0]);
    expect(published[0]?.length).toBe(sinceStartMs === 0 ? 1 : 2);
  }
  clock.advance(HOUR_MS);
  const current = await Promise.all(instances.map((keys) => keys.current()));
  const { kid } = (await instances[0]?.published())?.[1] ?? {};
  expect(new Set(current.map((key) => key.kid))).toEqual(new Set([kid]));
});

test("keys are forgotten once no good token is signed with them, and never before", async () => {
  const sql = await database();
  const clock = manualClock();
  const keys = openSigningKeys(sql, ROTATION_HOURS, clock);
  const prune = () => transaction(sql, keys.prune);
  expect(await prune()).toBe(0);
  const first = await keys.current();
  clock.advance(24 * HOUR_MS - 15 * MINUTE_MS);
  await keys.published();
  clock.advance(HOUR_MS + 10 * MINUTE_MS);
  expect(await prune()).toBe(0);
  clock.advance(15 * MINUTE_MS);
  expect(await prune()).toBe(1);
  expect(await prune()).toBe(0);
  expect((await keys.published()).map(({ kid }) => kid)).not.toContain(first.kid);
  expect((await keys.current()).kid).not.toBe(first.kid);
});

test("a rotation publishes the next key at once, and it signs when it was asked to, or earlier", async () => {
  const sql = await database();
  const clock = manualClock();
  const [one, other] = [1, 2].map(() => openSigningKeys(sql, ROTATION_HOURS, clock));
  const first = await one?.current();
  const next = await one?.rotate(10 * MINUTE_MS);
  expect(next?.signsFrom).toEqual(new Date(clock.date().getTime() + 10 * MINUTE_MS));
  expect((await other?.published())?.map(({ kid }) => kid)).toEqual([first?.kid, next?.kid]);
  // Repeated, it is the same key; it is not put off.
  expect(await other?.rotate(HOUR_MS)).toMatchObject({ kid: next?.kid, signsFrom: next?.signsFrom });
  expect(await other?.rotate(MINUTE_MS)).toMatchObject({ kid: next?.kid });
  expect((await one?.current())?.kid).toBe(first?.kid);
  clock.advance(MINUTE_MS);
  expect((await one?.current())?.kid).toBe(next?.kid);
  // Tokens of the first are good for an hour.
  clock.advance(HOUR_MS);
  expect((await one?.published())?.map(({ kid }) => kid)).toEqual([first?.kid, next?.kid]);
  expect((await one?.rotate(MINUTE_MS))?.kid).not.toBe(next?.kid);
});

test("what is published holds no private part, and the key that signs cannot be read out", async () => {
  const keys = openSigningKeys(await database(), ROTATION_HOURS, manualClock());
  const [published] = await keys.published();
  expect(Object.keys(published ?? {}).sort()).toEqual(["alg", "crv", "kid", "kty", "use", "x", "y"]);
  expect((await keys.current()).privateKey.extractable).toBe(false);
});
