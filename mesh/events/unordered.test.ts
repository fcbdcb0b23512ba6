import { expect, test } from "vitest";
import { newId } from "../core/ids.ts";
import { transaction } from "../store/transaction.ts";
import { meshDatabase } from "../testing/mesh-database.ts";
import { until } from "../testing/until.ts";
import { rememberAll, unorderedProgress } from "./unordered.ts";

const { sql } = await meshDatabase();

const pass = (eventId: string, consumer = "test__moves") =>
  transaction(sql, (tx) => unorderedProgress(consumer, eventId).pass(tx));

test("a message passes once for each consumer, and a dead letter not at all", async () => {
  const [one, dead] = [newId(), newId()];
  expect(await pass(one)).toBe(true);
  expect(await pass(one)).toBe(false);
  expect(await pass(one, "other__moves")).toBe(true);
  expect(await transaction(sql, (tx) => unorderedProgress("test__moves", dead).bury(tx, "permanent"))).toBe(
    true,
  );
  expect(await pass(dead)).toBe(false);
  expect(await unorderedProgress("test__moves", dead).judge()).toEqual({ verdict: "done" });
});

test.each([
  ["commits", false],
  ["rolls back", true],
])("if the holder of a message %s, whether the other one passes is %s", async (end, passes) => {
  const eventId = newId();
  const second = Promise.withResolvers<boolean>();
  const first = transaction(sql, async (tx) => {
    expect(await unorderedProgress("test__moves", eventId).pass(tx)).toBe(true);
    second.resolve(pass(eventId));
    await until(async () => {
      const locked = await sql`
        SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`;
      return locked.length > 0;
    });
    if (end === "rolls back") throw new Error("the handler failed");
  });
  await first.catch((error: Error) => expect(error.message).toBe("the handler failed"));
  expect(await second.promise).toBe(passes);
});

test("of messages together those pass that are new, each once", async () => {
  const [known, fresh, twice] = [newId(), newId(), newId()];
  await pass(known);
  const ids = [twice, known, fresh, twice];
  const passed = await transaction(sql, (tx) => rememberAll(tx, "test__moves", ids));
  expect([...passed].sort()).toEqual([fresh, twice].sort());
  expect(await pass(fresh)).toBe(false);
});
