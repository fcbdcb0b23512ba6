import { expect, test } from "vitest";
import { freePort } from "../../tools/local/ports.ts";
import { isUnavailable } from "../core/errors.ts";
import { atEnd } from "../testing/at-end.ts";
import { testDatabase } from "../testing/database.ts";
import { until } from "../testing/until.ts";
import { connect } from "./connect.ts";

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
    await expect(sql.unsafe(`SELECT ${text}::bigint AS count`)).rejects.toThrow(
      `${text} is beyond what a number holds`,
    );
  }
  expect((await sql`SELECT 1::bigint AS count`)[0]?.count).toBe(1);
});

test("a pool is called by its name, and makes no more connections than it may", async () => {
  const sql = open("pool of two", { maxConnections: 2 });
  await Promise.all(Array.from({ length: 8 }, () => sql`SELECT pg_sleep(0.01)`));
  const [row] =
    await sql`SELECT count(*) AS count FROM pg_stat_activity WHERE application_name = 'pool of two'`;
  expect(row?.count).toBeLessThanOrEqual(2);
});

test("connections that are ended by the server are an unavailable part, and new ones are made", async () => {
  const [sql, killer] = [open("victim", { maxConnections: 3 }), open("killer")];
  await Promise.all([1, 2, 3].map(() => sql`SELECT pg_sleep(0.01)`));
  const running = errorOf(sql`SELECT pg_sleep(60)`);
  await until(async () => {
    const rows =
      await killer`SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep(60)%'`;
    return rows.length > 0;
  });
  // Sessions of that name in other databases are those of other test files.
  await killer`
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'victim' AND datname = current_database()`;
  expect(isUnavailable(await running)).toBe(true);
  await until(async () => {
    const answer = await errorOf(sql`SELECT 1`);
    if (answer !== "no error") expect(isUnavailable(answer)).toBe(true);
    return answer === "no error";
  });
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

test("arrays arrive as they were given, whatever is in them", async () => {
  const sql = open("arrays");
  const texts = ['a"b', "c\\d", "e,f", "{}", "NULL", "é", ""];
  const rows = await sql<{ text: string }[]>`SELECT text FROM unnest(${texts}::text[]) AS t (text)`;
  expect(rows.map(({ text }) => text)).toEqual(texts);
  const numbers = [1, -2, Number.MAX_SAFE_INTEGER];
  expect(await sql`SELECT n FROM unnest(${numbers}::bigint[]) AS t (n)`).toEqual(numbers.map((n) => ({ n })));
  expect(await sql`SELECT 2 = ANY (${[1, 2]}) AS found, 3 = ANY (${[] as number[]}) AS missing`).toEqual([
    { found: true, missing: false },
  ]);
});
