import { expect, test } from "vitest";
import { silentLog } from "../../mesh/core/log.ts";
import { migrate } from "../../mesh/store/migrate.ts";
import { meshDatabase } from "../../mesh/testing/mesh-database.ts";
import { seedDemo } from "./seed.ts";

test("customers who are there cost no hash", async () => {
  const { sql } = await meshDatabase();
  await migrate(sql, [{ set: "customer", folder: new URL("migrations/", import.meta.url) }], silentLog);
  const hashed: string[] = [];
  const passwords = {
    hash: async (password: string) => `hash ${hashed.push(password)}`,
    matches: async () => false,
  };
  await seedDemo(sql, passwords);
  expect(hashed).toEqual(["ada-demo", "grace-demo", "ops-demo"]);
  await seedDemo(sql, passwords);
  expect(hashed.length).toBe(3);
});
