import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { run } from "./commands.ts";
import { asPattern, stepsOf } from "./guide.ts";
import { openShop } from "./shop.ts";

const guide = readFileSync(resolve(import.meta.dirname, "../docs/rest.md"), "utf8");
const shop = await openShop();
const steps = stepsOf(guide);

test("the guide has steps, and says what each of them shows", () => {
  expect(steps.length).toBeGreaterThan(6);
  expect(steps.filter(({ sees }) => sees.length === 0)).toEqual([]);
});

test.for(steps.map((step) => [step.name, step] as const))("%s", async ([, { command, sees }]) => {
  const { output, exitCode } = await run(shop, command);
  expect(output).toMatch(asPattern(sees));
  expect(exitCode, output).toBe(0);
});
