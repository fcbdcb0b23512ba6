import { expect, test } from "vitest";
import { CustomerRegisteredSchema } from "../../gen/shop/customer/v1/customer_event_pb.ts";
import { silentLog } from "../../mesh/core/log.ts";
import type { Sql } from "../../mesh/store/connect.ts";
import { migrate } from "../../mesh/store/migrate.ts";
import { meshDatabase } from "../../mesh/testing/mesh-database.ts";
import { published } from "../../mesh/testing/published.ts";
import type { Passwords } from "./passwords.ts";
import { seedDemo } from "./seed.ts";

async function database(): Promise<Sql> {
  const { sql } = await meshDatabase();
  await migrate(sql, [{ set: "customer", folder: new URL("migrations/", import.meta.url) }], silentLog);
  return sql;
}

function passwordsThat(hash: Passwords["hash"]): Passwords {
  return { hash, matches: async () => false };
}

test("customers who are there cost no hash", async () => {
  const sql = await database();
  const hashed: string[] = [];
  const passwords = passwordsThat(async (password) => `hash ${hashed.push(password)}`);
  await seedDemo(sql, passwords);
  expect(hashed).toEqual(["ada-demo", "grace-demo", "ops-demo"]);
  await seedDemo(sql, passwords);
  expect(hashed.length).toBe(3);
});

test("two instances that start together announce each customer once", async () => {
  const sql = await database();
  const both = { asked: 0, met: Promise.withResolvers<void>() };
  // Neither goes on before the other has found the first customer missing too.
  const passwords = passwordsThat(async () => {
    if (++both.asked === 2) both.met.resolve();
    await both.met.promise;
    return "hash";
  });
  await Promise.all([seedDemo(sql, passwords), seedDemo(sql, passwords)]);
  expect((await published(sql, [CustomerRegisteredSchema], "cust-ada")).length).toBe(1);
});
