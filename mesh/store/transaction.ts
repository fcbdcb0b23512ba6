import type { Queries, Sql } from "./connect.ts";

/** A transaction that is open. Only {@link transaction} makes one. */
export type Tx = Queries & {
  /** Runs `fn` once the transaction is durable; never if it rolls back. For hints only: a crash may come before it. */
  afterCommit(fn: () => void): void;
};

// A rejection is passed on through a handful of promises inside the driver.
const HOPS = 16;

/**
 * Runs `fn` in a transaction: all that it does becomes durable together, or, if it throws, none of it. What still uses
 * the transaction when it is over, such as work that was given up, gets an error.
 */
export async function transaction<T>(sql: Sql, fn: (tx: Tx) => Promise<T>): Promise<T> {
  const hints: (() => void)[] = [];
  let isOver = false;
  let isLost = false;
  const begun = sql.begin(async (open) => {
    const afterCommit = (hint: () => void) => void hints.push(hint);
    const tx = Object.assign(open as Queries, { afterCommit });
    try {
      return await fn(usable(tx, () => !isOver && !isLost));
    } finally {
      isOver = true;
      // The driver goes on to commit or to roll back, and on a connection that is lost that would end the process. If
      // it is lost, `begun` is rejected before the next turn of the event loop, and nobody waits for this any more.
      for (let hop = 0; hop < HOPS && !isLost; hop++) await undefined;
      if (isLost) await new Promise(() => {});
    }
  });
  begun.catch(() => {
    isLost = true;
  });
  const result = await begun;
  for (const hint of hints) hint();
  return result as T;
}

/** The same, as long as the question is answered with yes. The driver would run a late statement all the same: on the bare connection, where it commits by itself. */
function usable<F extends object>(use: F, isUsable: () => boolean): F {
  return new Proxy(use, {
    apply(target, self, args) {
      if (!isUsable()) throw new Error("the transaction is over");
      return Reflect.apply(target as () => unknown, self, args);
    },
    get(target, name) {
      const value = Reflect.get(target, name);
      return typeof value === "function" ? usable(value, isUsable) : value;
    },
  });
}
