import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, inject, test } from "vitest";
import { silentLog } from "../core/log.ts";
import { atEnd } from "../testing/at-end.ts";
import { testDatabase } from "../testing/database.ts";
import { connect } from "./connect.ts";
import { migrate } from "./migrate.ts";

const THINGS = "CREATE TABLE thing (id int PRIMARY KEY); INSERT INTO thing VALUES (1);";

/** An empty database, and folders of migrations. */
async function setUp() {
  const { url } = await testDatabase();
  const sql = connect({ url, name: "test" });
  atEnd(() => sql.end());
  const root = mkdtempSync(join(inject("testDir"), "migrations-"));
  atEnd(async () => rmSync(root, { recursive: true }));
  let count = 0;
  const folder = (files: Readonly<Record<string, string>>, name = `set ${++count} % é`) => {
    const path = join(root, name);
    mkdirSync(path, { recursive: true });
    for (const [file, text] of Object.entries(files)) writeFileSync(join(path, file), text);
    return { set: "things", folder: pathToFileURL(`${path}/`) };
  };
  return {
    sql,
    url,
    folder,
    run: (...sets: { set: string; folder: URL }[]) => migrate(sql, sets, silentLog),
    /** The migrations that have run. */
    applied: async () =>
      (await sql`SELECT set, file FROM migration ORDER BY applied_at`).map(
        ({ set, file }) => `${set}/${file}`,
      ),
    count: async (table: string) => (await sql`SELECT count(*) AS count FROM ${sql(table)}`)[0]?.count,
    exists: async (table: string) => (await sql`SELECT to_regclass(${table}) AS found`)[0]?.found !== null,
  };
}

test("each migration runs once, in order", async () => {
  const { run, folder, applied, count } = await setUp();
  const files = {
    "0002_more.sql": "INSERT INTO thing VALUES (2)",
    "0001_things.sql": THINGS,
    "README.md": "no migration",
  };
  await run(folder(files));
  await run(folder(files));
  await run(folder({ ...files, "0003_most.sql": "INSERT INTO thing VALUES (3)" }));
  expect(await applied()).toEqual(["things/0001_things.sql", "things/0002_more.sql", "things/0003_most.sql"]);
  expect(await count("thing")).toBe(3);
});

test("sets are numbered by themselves and run in the order in which they are given", async () => {
  const { run, folder, applied } = await setUp();
  const mesh = { ...folder({ "0001_mesh.sql": THINGS }), set: "mesh" };
  await run(mesh, folder({ "0001_order.sql": "INSERT INTO thing VALUES (2)" }));
  expect(await applied()).toEqual(["mesh/0001_mesh.sql", "things/0001_order.sql"]);
});

test("of several that migrate at the same time one does, and the others see that it is done", async () => {
  const { url, folder, applied, count } = await setUp();
  const set = folder({ "0001_things.sql": THINGS, "0002_more.sql": "INSERT INTO thing VALUES (2)" });
  const pools = [1, 2, 3, 4].map((n) => connect({ url, name: `test-${n}` }));
  for (const pool of pools) atEnd(() => pool.end());
  await Promise.all(pools.map((pool) => migrate(pool, [set], silentLog)));
  expect(await applied()).toHaveLength(2);
  expect(await count("thing")).toBe(2);
});

test("a migration that was changed after it had run is refused, and nothing is done", async () => {
  const { run, folder, exists } = await setUp();
  await run(folder({ "0001_things.sql": THINGS }));
  const changed = folder({
    "0001_things.sql": `${THINGS} -- better`,
    "0002_new.sql": "CREATE TABLE extra (id int)",
  });
  await expect(run(changed)).rejects.toThrow("things/0001_things.sql was changed after it had run");
  expect(await exists("extra")).toBe(false);
});

test("a gap in the numbers is refused, and nothing is done", async () => {
  const { run, folder, exists } = await setUp();
  const gap = folder({ "0001_things.sql": THINGS, "0003_most.sql": "SELECT 1" });
  await expect(run(gap)).rejects.toThrow("things/0003_most.sql: the migration after 1 must be number 2");
  await expect(run(folder({ "first.sql": THINGS }))).rejects.toThrow("must be number 1");
  await expect(run(folder({ "0001_a.sql": THINGS, "0001_b.sql": THINGS }))).rejects.toThrow(
    "must be number 2",
  );
  expect(await exists("thing")).toBe(false);
});

test("a migration that has run and is gone is refused: an older version must not meet a newer database", async () => {
  const { run, folder } = await setUp();
  await run(folder({ "0001_things.sql": THINGS, "0002_more.sql": "INSERT INTO thing VALUES (2)" }));
  await expect(run(folder({ "0001_things.sql": THINGS }))).rejects.toThrow(
    "things/0002_more.sql has run on this database but is gone",
  );
});

test("a migration that fails leaves nothing, of itself or of those before it", async () => {
  const { run, folder, exists, applied } = await setUp();
  const failing = folder({
    "0001_things.sql": THINGS,
    "0002_bad.sql": "CREATE TABLE other (id int); SELECT nonsense",
  });
  await expect(run(failing)).rejects.toThrow("nonsense");
  expect(await exists("thing")).toBe(false);
  expect(await exists("other")).toBe(false);
  await run(folder({ "0001_things.sql": THINGS }));
  expect(await applied()).toEqual(["things/0001_things.sql"]);
});
