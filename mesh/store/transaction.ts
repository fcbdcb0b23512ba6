import type { Queries, Sql } from "./connect.ts";

/** A transaction that is open. Only {@link transaction} makes one. */
export type Tx = Queries & {
  /** Runs `fn` once the transaction is durable; never if it rolls back. For hints only: a crash may come before it. */
  afterCommit(fn: () => void): void;
};

/**
 * Runs `fn` in a transaction: all that it does becomes durable together, or, if it throws, none of it. What still uses
 * the transaction when it is over, such as work that was given up, gets an error.
 */
export async function transaction<T>(sql: Sql, fn: (tx: Tx) => Promise<T>): Promise<T> {
  const hints: (() => void)[] = [];
  const result = await sql.begin(async (open) => {
    let isOver = false;
    const tx = Object.assign(open as Queries, { afterCommit: (hint: () => void) => void hints.push(hint) });
    // The driver would run a late statement on the bare connection, where it commits by itself.
    const checked = <F extends object>(use: F): F =>
      new Proxy(use, {
        apply(target, self, args) {
          if (isOver) throw new Error("the transaction is over");
          return Reflect.apply(target as () => unknown, self, args);
        },
        get(target, name) {
          const value = Reflect.get(target, name);
          return typeof value === "function" ? checked(value) : value;
        },
      });
    try {
      return await fn(checked(tx));
    } finally {
      isOver = true;
    }
  });
  for (const hint of hints) hint();
  return result as T;
}
