import type { Queries } from "./connect.ts";

/** The build of a read model that is in use, by the subscription that feeds it; 1 for a subscription that feeds none. */
export async function liveBuild(sql: Queries, subscription: string): Promise<number> {
  const [row] = await sql<{ live: number }[]>`SELECT ${liveBuildIn(sql, subscription)} AS live`;
  return row?.live ?? 1;
}

/** The same within a statement, which so reads one build or the other, and never both. */
export function liveBuildIn(sql: Queries, subscription: string) {
  return sql`coalesce((SELECT live FROM read_model WHERE subscription = ${subscription}), 1)`;
}
