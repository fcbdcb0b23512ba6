import type { Tx } from "../store/transaction.ts";
import { columnsOf, type Place, type Run } from "./gate.ts";
import type { Progress } from "./progress.ts";

/** LATEST: an event passes if it is newer than all of its key that have passed; what is older is done. */
export function latestProgress(place: Place): Progress {
  return {
    pass: (tx) => replace(tx, place),
    judge: async () => ({ verdict: "done" }),
    // A newer event that passed meanwhile has replaced it: then there is nothing to mourn.
    bury: (tx) => replace(tx, place),
    postpone: async () => {},
  };
}

/** Two holders of one key meet at the row's lock; the older one finds itself replaced. */
async function replace(tx: Tx, { consumer, stream, key, seq }: Place): Promise<boolean> {
  const { count } = await tx`
    INSERT INTO inbox_cursor AS c (consumer, stream, key, last_seq) VALUES (${consumer}, ${stream}, ${key}, ${seq})
    ON CONFLICT (consumer, stream, key) DO UPDATE SET last_seq = EXCLUDED.last_seq, updated_at = now()
      WHERE c.last_seq < EXCLUDED.last_seq`;
  return count === 1;
}

/** Passes with rising events, one run of each key. Returns the keys of which nothing newer than the first had passed. */
export async function replaceRuns(
  tx: Tx,
  { consumer, stream }: Pick<Place, "consumer" | "stream">,
  runs: readonly Run[],
): Promise<ReadonlySet<string>> {
  const [keys, firsts, lasts] = columnsOf(runs);
  // Two who want the same keys wait for each other in one order: that of the keys.
  const rows = await tx<{ key: string }[]>`
    WITH run AS (
      SELECT * FROM unnest(${keys}::text[], ${firsts}::int[], ${lasts}::int[]) AS run (key, first, last))
    INSERT INTO inbox_cursor AS c (consumer, stream, key, last_seq)
    SELECT ${consumer}, ${stream}, key, last FROM run ORDER BY key
    ON CONFLICT (consumer, stream, key) DO UPDATE SET last_seq = EXCLUDED.last_seq, updated_at = now()
      WHERE c.last_seq < (SELECT first FROM run WHERE run.key = EXCLUDED.key)
    RETURNING key`;
  return new Set(rows.map(({ key }) => key));
}

/** Passes with an event that was a dead letter, unless a newer one of its key has passed since. */
export async function replaceReplayed(tx: Tx, { consumer, stream, key, seq }: Place): Promise<boolean> {
  // Whatever it holds: a newer event that comes now must wait, or this one would undo its effect.
  const [row] = await tx<{ last_seq: number }[]>`
    SELECT last_seq FROM inbox_cursor
    WHERE consumer = ${consumer} AND stream = ${stream} AND key = ${key} FOR UPDATE`;
  return (row?.last_seq ?? 0) <= seq;
}
