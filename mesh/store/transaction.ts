import type { Queries, Sql } from "./connect.ts";

/** A transaction that is open. Only {@link transaction} makes one. */
export type Tx = Queries & {
  /** Runs `fn` once the transaction is durable; never if it rolls back. For hints only: a crash may come before it. */
  afterCommit(fn: () => void): void;
};

/** Runs `fn` in a transaction: all that it does becomes durable together, or, if it throws, none of it. */
export async function transaction<T>(sql: Sql, fn: (tx: Tx) => Promise<T>): Promise<T> {
  const hints: (() => void)[] = [];
  const result = await sql.begin((open) =>
    fn(Object.assign(open as Queries, { afterCommit: (hint: () => void) => void hints.push(hint) })),
  );
  for (const hint of hints) hint();
  return result as T;
}
