import { expect, test } from "vitest";
import { freePort } from "../../tools/local/ports.ts";
import { isUnavailable } from "../core/errors.ts";
import { atEnd } from "../testing/at-end.ts";
import { testDatabase } from "../testing/database.ts";
import { connect } from "./connect.ts";
import { transaction } from "./transaction.ts";

const { url } = await testDatabase();

function open(name: string, options: { url?: string; maxConnections?: number } = {}) {
  const sql = connect({ url, name, ...options });
  atEnd(() => sql.end({ timeout: 1 }));
  return sql;
}

const errorOf = (query: Promise<unknown>): Promise<unknown> =>
  query.then(
    () => "no error",
    (error) => error,
  );

test("counts and amounts are numbers", async () => {
  const sql = open("test");
  await sql`CREATE TABLE amount (cents bigint)`;
  for (const cents of [0, -1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]) {
    await sql`INSERT INTO amount VALUES (${cents})`;
    expect((await sql`DELETE FROM amount RETURNING cents`)[0]?.cents).toBe(cents);
  }
});

test("a count beyond what a number holds exactly is an error, and the connection goes on", async () => {
  const sql = open("test", { maxConnections: 1 });
  for (const text of ["9007199254740992", "-9007199254740992", "9223372036854775807"]) {
    await expect(sql.unsafe(`SELECT ${text}::bigint AS count`)).rejects.toThrow(`${text} is beyond what a number holds`);
  }
  expect((await sql`SELECT 1::bigint AS count`)[0]?.count).toBe(1);
});

test("a pool is called by its name, and makes no more connections than it may", async () => {
  const sql = open("pool of two", { maxConnections: 2 });
  await Promise.all(Array.from({ length: 8 }, () => sql`SELECT pg_sleep(0.01)`));
  const [row] = await sql`SELECT count(*) AS count FROM pg_stat_activity WHERE application_name = 'pool of two'`;
  expect(row?.count).toBeLessThanOrEqual(2);
});

test("a connection that is ended by the server is an unavailable part, and the next query has a new one", async () => {
  const [sql, killer] = [open("victim", { maxConnections: 1 }), open("killer")];
  await sql`SELECT 1`;
  const inTransaction = errorOf(
    transaction(sql, async (tx) => {
      await killer`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim'`;
      await tx`SELECT 1`;
    }),
  );
  expect(isUnavailable(await inTransaction)).toBe(true);
  expect((await sql`SELECT 1 AS one`)[0]?.one).toBe(1);
});

test("a server that is not there is an unavailable part", async () => {
  const nowhere = new URL(url);
  nowhere.port = String(await freePort());
  expect(isUnavailable(await errorOf(open("test", { url: nowhere.href })`SELECT 1`))).toBe(true);
});

test("a fault of a statement is no unavailable part", async () => {
  const sql = open("test");
  expect(isUnavailable(await errorOf(sql`SELECT nonsense`))).toBe(false);
  expect(isUnavailable(await errorOf(sql`SELECT 1 / 0`))).toBe(false);
});
