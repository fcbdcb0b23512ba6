import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import type { AppError } from "../../mesh/core/errors.ts";
import { silentLog } from "../../mesh/core/log.ts";
import { migrate } from "../../mesh/store/migrate.ts";
import { transaction } from "../../mesh/store/transaction.ts";
import { meshDatabase } from "../../mesh/testing/mesh-database.ts";
import { openSignInLimit } from "./sign-in-limit.ts";

const WINDOW_MS = 600_000;
const { sql } = await meshDatabase();
await migrate(sql, [{ set: "customer", folder: new URL("migrations/", import.meta.url) }], silentLog);
const open = () => openSignInLimit(sql, { maxAttempts: 3, windowMs: WINDOW_MS });
const limit = open();

const wrong = async () => undefined;
const right = async () => "ada";

/** The reason of the refusal of each attempt, one after the other, or what it found. */
async function tried(email: string, attempts: readonly (() => Promise<string | undefined>)[], by = limit) {
  const outcomes: string[] = [];
  for (const attempt of attempts)
    outcomes.push(await by.attempt(email, attempt).catch((error: AppError) => error.reason));
  return outcomes;
}
const W = "INVALID_CREDENTIALS";
const B = "SIGN_IN_BLOCKED";

test("after so many wrong passwords a right one is refused, too, until the window ends", async () => {
  expect(await tried("a@x", [wrong, wrong, wrong, wrong, right])).toEqual([W, W, W, B, B]);
  const refusal = await limit.attempt("a@x", right).catch((error: AppError) => error);
  expect(refusal).toMatchObject({ code: Code.ResourceExhausted });
  const { retryDelayMs = 0 } = refusal as AppError;
  expect(retryDelayMs).toBeGreaterThan(0);
  expect(retryDelayMs).toBeLessThanOrEqual(WINDOW_MS);
  await sql`UPDATE sign_in_attempt SET expire = ${Date.now() - 1}`;
  expect(await tried("a@x", [right])).toEqual(["ada"]);
});

test("a right password forgives the wrong ones, and one address is not another", async () => {
  expect(await tried("b@x", [wrong, wrong, right, wrong, wrong, right])).toEqual([W, W, "ada", W, W, "ada"]);
  expect(await tried("c@x", [wrong, wrong, wrong, wrong])).toEqual([W, W, W, B]);
  expect(await tried("d@x", [right])).toEqual(["ada"]);
});

test("guesses at the same moment, at several instances, are counted together", async () => {
  let looked = 0;
  const guess = async () => {
    looked++;
    return undefined;
  };
  const all = [limit, open(), open()].flatMap((by) =>
    Array.from({ length: 5 }, () => tried("e@x", [guess], by)),
  );
  expect((await Promise.all(all)).flat().sort()).toEqual([W, W, W, ...Array(12).fill(B)]);
  expect(looked).toBe(3);
});

test("what was not looked at is not counted", async () => {
  const away = () => Promise.reject(Object.assign(new Error("away"), { reason: "AWAY" }));
  expect(await tried("f@x", [away, away, away, away, right])).toEqual([...Array(4).fill("AWAY"), "ada"]);
});

test("what has ended is forgotten, and no address is kept", async () => {
  await sql`DELETE FROM sign_in_attempt`;
  await tried("old@x", [wrong]);
  await sql`UPDATE sign_in_attempt SET expire = ${Date.now() - 1}`;
  await tried("new@x", [wrong]);
  expect(await transaction(sql, limit.prune)).toBe(1);
  const rows = await sql<{ key: string }[]>`SELECT key FROM sign_in_attempt`;
  expect(rows.map(({ key }) => key.length)).toEqual([43]);
});
