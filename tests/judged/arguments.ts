import { parseArgs } from "node:util";

/**
 * What the argument `--<name>` picks from a table, by its name. Without one, or with an empty one, the first of the table.
 * Throws with all that could be picked if there is no such thing.
 */
export function pick<T>(name: string, table: Readonly<Record<string, T>>): [string, T] {
  const { values } = parseArgs({ options: { [name]: { type: "string" } } });
  const picked = Object.entries(table).find(([each]) => !values[name] || each === values[name]);
  if (!picked)
    throw new Error(`there is no ${name} ${values[name]}; there is ${Object.keys(table).join(", ")}`);
  return picked;
}
