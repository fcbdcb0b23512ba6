import type { Queries } from "../store/connect.ts";
import type { Saga } from "./saga.ts";

/** The sagas that are in a state which is not their end. */
export interface ActiveSagas {
  readonly state: string;
  readonly count: number;
  /** How long the one that has been in it for longest has. Undefined if none is. */
  readonly oldestMs: number | undefined;
}

/** Counts the sagas in each state that has a step, in the order of the rules. Costs as much as there are of them. */
export async function activeSagas(
  sql: Queries,
  { table, rules }: Pick<Saga<string>, "table" | "rules">,
): Promise<ActiveSagas[]> {
  const rows = await sql<{ state: string; count: number; age_s: number }[]>`
    SELECT state, count(*) AS count, extract(epoch FROM clock_timestamp() - min(updated_at))::float8 AS age_s
    FROM ${sql(table)} WHERE next_attempt_at IS NOT NULL GROUP BY state`;
  const states = Object.keys(rules).filter((state) => rules[state]?.does);
  return states.map((state) => {
    const found = rows.find((row) => row.state === state);
    const oldestMs = found && Math.max(Math.round(found.age_s * 1_000), 0);
    return { state, count: found?.count ?? 0, oldestMs };
  });
}
