import { readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { BreakingRule, LintRule, Rule } from "./rule.ts";

const folder = join(import.meta.dirname, "../rules");

const files = readdirSync(folder).filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"));
const modules = await Promise.all(
  files.sort().map((name): Promise<{ rule: Rule }> => import(pathToFileURL(join(folder, name)).href)),
);

/** Every rule there is: each file in ../rules exports one as `rule`, and needs to be named nowhere else. */
export const everyRule: readonly Rule[] = modules.map(({ rule }) => rule);

/** Those that look at contracts as they are. */
export const lintRules: readonly LintRule[] = everyRule.filter((rule) => "check" in rule);

/** Those that compare contracts with what was promised before. */
export const breakingRules: readonly BreakingRule[] = everyRule.filter((rule) => "compare" in rule);
