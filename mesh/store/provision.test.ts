import { randomBytes } from "node:crypto";
import { expect, inject, test } from "vitest";
import { atEnd } from "../testing/at-end.ts";
import { connect, type Sql } from "./connect.ts";
import { provision } from "./provision.ts";

const adminUrl = inject("postgresUrl");

function open(url: string): Sql {
  const sql = connect({ url, name: "test", maxConnections: 1 });
  atEnd(() => sql.end({ timeout: 1 }));
  return sql;
}

/** A name that nothing else has; what is made under it goes at the end. */
function newName(): string {
  const name = `provision_${randomBytes(6).toString("hex")}`;
  atEnd(async () => {
    const sql = connect({ url: adminUrl, name: "test-drop", maxConnections: 1 });
    await sql.unsafe(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    await sql.unsafe(`DROP ROLE IF EXISTS ${name}`);
    await sql.end();
  });
  return name;
}

test("a role owns its database and can do there what a service does", async () => {
  const name = newName();
  const sql = open(await provision(adminUrl, { name, password: "secret" }));
  await sql`CREATE TABLE thing (id int)`;
  const [row] = await sql`SELECT current_user AS role, current_database() AS database`;
  expect(row).toEqual({ role: name, database: name });
});

test("a role reaches no other role's database, and nothing of the server", async () => {
  const [mine, other] = [newName(), newName()];
  const url = await provision(adminUrl, { name: mine, password: "secret" });
  await provision(adminUrl, { name: other, password: "secret" });
  const elsewhere = new URL(url);
  elsewhere.pathname = `/${other}`;
  await expect(open(elsewhere.href)`SELECT 1`).rejects.toThrow(`permission denied for database "${other}"`);
  const sql = open(url);
  await expect(sql.unsafe(`CREATE ROLE ${mine}_two`)).rejects.toThrow("permission denied");
  await expect(sql.unsafe(`CREATE DATABASE ${mine}_two`)).rejects.toThrow("permission denied");
});

test("provisioning again, and several times at once, changes nothing", async () => {
  const spec = { name: newName(), password: "secret" };
  const urls = await Promise.all([1, 2, 3, 4].map(() => provision(adminUrl, spec)));
  expect(new Set(urls).size).toBe(1);
  const sql = open(urls[0] as string);
  await sql`CREATE TABLE thing (id int)`;
  expect(await provision(adminUrl, spec)).toBe(urls[0]);
  expect(await sql`SELECT 1 FROM thing`).toHaveLength(0);
});

test("the password is the one that was given last, whatever is in it", async () => {
  const name = newName();
  const before = await provision(adminUrl, { name, password: "first" });
  const password = `it's "a" \\ p@ss:wörd/%20?#`;
  const after = await provision(adminUrl, { name, password });
  expect(await open(after)`SELECT 1`).toHaveLength(1);
  await expect(open(before)`SELECT 1`).rejects.toThrow("password authentication failed");
});

test("an administrator who is no superuser can provision too, and again", async () => {
  const name = newName();
  const admin = `admin_${name}`;
  const sql = open(adminUrl);
  await sql.unsafe(`CREATE ROLE ${admin} LOGIN CREATEDB CREATEROLE PASSWORD 'secret'`);
  const url = new URL(adminUrl);
  url.username = admin;
  url.password = "secret";
  await provision(url.href, { name, password: "one" });
  const own = open(await provision(url.href, { name, password: "two" }));
  expect(await own`SELECT current_user AS name`).toEqual([{ name }]);
  await own.end();
  await sql.unsafe(`DROP DATABASE ${name} WITH (FORCE)`);
  await sql.unsafe(`DROP OWNED BY ${admin}`);
  await sql.unsafe(`DROP ROLE ${name}`);
  await sql.unsafe(`DROP ROLE ${admin}`);
});

test("a name that could not be quoted safely is refused", async () => {
  for (const name of ["", "Order", "1order", 'a"b', "a; DROP DATABASE postgres", "a".repeat(64)]) {
    await expect(provision(adminUrl, { name, password: "secret" })).rejects.toThrow(
      "cannot be the name of a database",
    );
  }
});
