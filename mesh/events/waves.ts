/**
 * Splits rows, which stand in the order of their ids, into waves: wave n holds the nth row of each key, so that of one
 * key at most one row is on its way at any time, and a retry cannot overtake its successor. Rows without a key are all
 * in the first wave.
 */
export function wavesOf<R extends { readonly key: string | null }>(rows: readonly R[]): R[][] {
  const waves: R[][] = [];
  const seen = new Map<string, number>();
  for (const row of rows) {
    const wave = row.key === null ? 0 : (seen.get(row.key) ?? 0);
    if (row.key !== null) seen.set(row.key, wave + 1);
    waves[wave] ??= [];
    waves[wave].push(row);
  }
  return waves;
}
