import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { run } from "./commands.ts";
import { asPattern, stepsOf } from "./guide.ts";
import { eventually, openShop } from "./shop.ts";

const guide = readFileSync(resolve(import.meta.dirname, "../docs/guides/evolve-a-contract.md"), "utf8");
const shop = await openShop();

// Those of a release change the checkout; `tools/contracts/release` has tests of its own.
const steps = stepsOf(guide).filter(({ command }) => !command.includes("make release"));

test("the guide's example has steps, and says what each of them shows", () => {
  expect(steps.length).toBeGreaterThan(4);
  expect(steps.filter(({ sees }) => sees.length === 0)).toEqual([]);
});

test.for(steps.map((step) => [step.name, step] as const))("%s", async ([, { command, sees }]) => {
  // What follows an event follows a moment later; what changes something has a key, and may be said again.
  await eventually(async () => {
    const { output, exitCode } = await run(shop, command);
    expect(output).toMatch(asPattern(sees));
    expect(exitCode, output).toBe(0);
  });
});
