import { beforeEach, expect, test } from "vitest";
import { isUnavailable } from "../core/errors.ts";
import { atEnd } from "../testing/at-end.ts";
import { testDatabase } from "../testing/database.ts";
import { until } from "../testing/until.ts";
import { connect } from "./connect.ts";
import { type Tx, transaction } from "./transaction.ts";

const { url } = await testDatabase();
const sql = connect({ url, name: "test" });
atEnd(() => sql.end({ timeout: 1 }));
await sql`CREATE TABLE thing (id int PRIMARY KEY)`;
beforeEach(() => sql`TRUNCATE thing`);

const ids = async () => (await sql`SELECT id FROM thing ORDER BY id`).map(({ id }) => id);

test("all that a transaction does becomes durable together, and its result is returned", async () => {
  const result = await transaction(sql, async (tx) => {
    await tx`INSERT INTO thing VALUES (1)`;
    expect(await ids()).toEqual([]);
    await tx`INSERT INTO thing ${tx([{ id: 2 }, { id: 3 }])}`;
    await tx.unsafe("INSERT INTO thing VALUES (4)");
    return "done";
  });
  expect(result).toBe("done");
  expect(await ids()).toEqual([1, 2, 3, 4]);
});

test("a transaction that throws leaves nothing", async () => {
  const failed = transaction(sql, async (tx) => {
    await tx`INSERT INTO thing VALUES (1)`;
    throw new Error("no");
  });
  await expect(failed).rejects.toThrow("no");
  expect(await ids()).toEqual([]);
});

test("a statement that fails fails the transaction, even if nobody looked", async () => {
  const failed = transaction(sql, async (tx) => {
    await tx`INSERT INTO thing VALUES (1)`;
    await tx`INSERT INTO thing VALUES (1)`.catch(() => {});
    return "done";
  });
  await expect(failed).rejects.toThrow("duplicate key");
  expect(await ids()).toEqual([]);
});

test("what is to be done after the commit is done when others can see the result", async () => {
  let seen: Promise<number[]> | undefined;
  const order: string[] = [];
  await transaction(sql, async (tx) => {
    tx.afterCommit(() => {
      seen = ids();
      order.push("first");
    });
    tx.afterCommit(() => order.push("second"));
    await tx`INSERT INTO thing VALUES (1)`;
    order.push("end of the transaction");
  });
  expect(order).toEqual(["end of the transaction", "first", "second"]);
  expect(await seen).toEqual([1]);
});

test("after a rollback, or a commit that fails, nothing of it is done", async () => {
  await sql`CREATE TABLE later (id int PRIMARY KEY, other int REFERENCES later DEFERRABLE INITIALLY DEFERRED)`;
  const done: string[] = [];
  const rolledBack = transaction(sql, async (tx) => {
    tx.afterCommit(() => done.push("rolled back"));
    throw new Error("no");
  });
  const refused = transaction(sql, async (tx) => {
    tx.afterCommit(() => done.push("refused"));
    await tx`INSERT INTO later VALUES (1, 99)`;
  });
  await Promise.all([
    expect(rolledBack).rejects.toThrow("no"),
    expect(refused).rejects.toThrow("foreign key"),
  ]);
  expect(done).toEqual([]);
});

test("a transaction that is over cannot be used, however it ended", async () => {
  for (const fails of [false, true]) {
    let kept: Tx | undefined;
    await transaction(sql, async (tx) => {
      kept = tx;
      if (fails) throw new Error("no");
    }).catch(() => {});
    const late = kept as Tx;
    expect(() => late`INSERT INTO thing VALUES (1)`).toThrow("the transaction is over");
    expect(() => late.unsafe("INSERT INTO thing VALUES (1)")).toThrow("the transaction is over");
    expect(() => late.afterCommit(() => {})).toThrow("the transaction is over");
  }
  expect(await ids()).toEqual([]);
});

/** Ends the connection of a transaction, and waits until that is known here. */
async function cut(tx: Tx): Promise<void> {
  const [row] = await tx`SELECT pg_backend_pid() AS pid`;
  await sql`SELECT pg_terminate_backend(${row?.pid})`;
  await until(() => {
    try {
      // Not awaited, so not run.
      void tx`SELECT 1`;
      return false;
    } catch {
      return true;
    }
  });
}

const afterwards: [string, (tx: Tx) => Promise<unknown>][] = [
  ["goes on", async (tx) => tx`INSERT INTO thing VALUES (2)`],
  ["ends", async () => "done"],
  ["throws", async () => Promise.reject(new Error("no"))],
];
test.each(afterwards)(
  "a transaction whose connection is lost, and whose work then %s, has failed and leaves nothing",
  async (_, work) => {
    const failed = transaction(sql, async (tx) => {
      await tx`INSERT INTO thing VALUES (1)`;
      await cut(tx);
      return work(tx);
    });
    expect(await failed.catch(isUnavailable)).toBe(true);
    expect(await ids()).toEqual([]);
  },
);

test("a transaction whose connection is lost during a statement has failed and leaves nothing, though the statement's error is ignored", async () => {
  for (const ignores of [false, true]) {
    const failed = transaction(sql, async (tx) => {
      await tx`INSERT INTO thing VALUES (1)`;
      const [row] = await tx`SELECT pg_backend_pid() AS pid`;
      const slow = tx`SELECT pg_sleep(60)`;
      const running = slow.then(
        () => "slept",
        (error) => {
          if (!ignores) throw error;
        },
      );
      running.catch(() => {});
      await until(async () => {
        const rows = await sql`
          SELECT 1 FROM pg_stat_activity WHERE pid = ${row?.pid} AND state = 'active' AND query LIKE '%pg_sleep%'`;
        return rows.length > 0;
      });
      await sql`SELECT pg_terminate_backend(${row?.pid})`;
      return running;
    });
    expect(await failed.catch(isUnavailable)).toBe(true);
    // The driver tells the next one that uses the connection what the server had said last.
    await until(() =>
      ids()
        .then((found) => found.length === 0, isUnavailable)
        .then((answer) => answer === true),
    );
  }
});
