import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { canRun, run } from "./commands.ts";
import { eventually, openShop } from "./shop.ts";

const guide = readFileSync(resolve(import.meta.dirname, "../docs/guides/break-it.md"), "utf8");
const shop = await openShop();

/** A command of the guide, and what it says that one sees. */
interface Step {
  readonly name: string;
  readonly command: string;
  readonly sees: readonly string[];
}

/** The guide's `sh` blocks in their order, each with the `text` block that belongs to it. */
function stepsOf(markdown: string): Step[] {
  const steps: Step[] = [];
  let section = "";
  for (const [, heading, language, block = ""] of markdown.matchAll(
    /^## ([^\n]*)$|^```(\w+)\n(.*?)^```/gms,
  )) {
    if (heading !== undefined) section = heading;
    else if (language === "sh") {
      steps.push({ name: `${section}, ${steps.length}: ${block.split("\n")[0]}`, command: block, sees: [] });
    } else if (language === "text") {
      const last = steps.pop();
      if (!last || last.sees.length > 0) throw new Error(`what is seen here, and of what? ${block}`);
      steps.push({ ...last, sees: block.trim().split("\n") });
    }
  }
  return steps;
}

/** Lines that all must be there in this order, others between them; `...` stands for anything, blanks for blanks. */
function asPattern(lines: readonly string[]): RegExp {
  const line = (text: string) =>
    text
      .split(/\s*\.\.\.\s*/)
      .map((part) => part.split(/\s+/).map(RegExp.escape).join("\\s+"))
      .join(".*");
  return new RegExp(lines.map(line).join("[^]*"));
}

// The first says how to reach the tools.
const steps = stepsOf(guide).slice(1);

test("the guide has steps, and says what most of them show", () => {
  expect(steps.length).toBeGreaterThan(15);
  expect(steps.filter(({ sees }) => sees.length > 0).length).toBeGreaterThan(12);
});

test.for(steps.map((step) => [step.name, step] as const))("%s", async ([, { command, sees }], { skip }) => {
  if (!canRun(command)) skip("grpcurl needs Go");
  const look = async () => {
    const { output, exitCode } = await run(shop, command);
    expect(output).toMatch(asPattern(sees));
    expect(exitCode, output).toBe(0);
  };
  // What makes calls must show it at once; what only looks may look again a little later.
  if (command.includes("load.ts")) await look();
  else await eventually(look, 30_000);
});
