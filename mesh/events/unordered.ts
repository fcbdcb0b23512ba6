import type { Tx } from "../store/transaction.ts";
import type { Progress } from "./progress.ts";

/** NONE: each message once, in any order. */
export function unorderedProgress(consumer: string, eventId: string): Progress {
  return {
    pass: (tx) => remember(tx, consumer, eventId),
    judge: async () => ({ verdict: "done" }),
    bury: (tx) => remember(tx, consumer, eventId),
    postpone: async () => {},
  };
}

/** Notes that a consumer is done with an id. False if it was before. Who holds the id is waited for. */
export async function remember(tx: Tx, consumer: string, id: string): Promise<boolean> {
  const { count } = await tx`
    INSERT INTO inbox (consumer, event_id) VALUES (${consumer}, ${id}) ON CONFLICT DO NOTHING`;
  return count === 1;
}

/** Notes that a consumer is done with ids. Returns those that it was not done with before. */
export async function rememberAll(tx: Tx, consumer: string, ids: readonly string[]): Promise<Set<string>> {
  // Two who want the same ids wait for each other in one order: that of the ids.
  const rows = await tx<{ event_id: string }[]>`
    INSERT INTO inbox (consumer, event_id)
    SELECT ${consumer}, id FROM unnest(${[...ids]}::text[]::uuid[]) AS new (id) ORDER BY id
    ON CONFLICT DO NOTHING RETURNING event_id`;
  return new Set(rows.map((row) => row.event_id));
}
