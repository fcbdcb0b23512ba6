import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test, vi } from "vitest";
import { run } from "./commands.ts";
import { asPattern, stepsOf } from "./guide.ts";
import { eventually, openShop } from "./shop.ts";

// Commands are processes, on a machine that may be busy with other tests.
vi.setConfig({ testTimeout: 120_000 });

const guide = readFileSync(resolve(import.meta.dirname, "../docs/guides/dead-letters.md"), "utf8");
const shop = await openShop();

// The first says how to reach the tools.
const steps = stepsOf(guide).slice(1);

test("the guide has steps, and says what each of them shows", () => {
  expect(steps.length).toBeGreaterThan(10);
  expect(steps.filter(({ sees }) => sees.length === 0)).toEqual([]);
});

test.for(steps.map((step) => [step.name, step] as const))("%s", async ([, { command, sees }]) => {
  const isChange = /stray-event|dlq (replay|discard)/.test(command);
  const look = async () => {
    const { output, exitCode } = await run(shop, command);
    expect(output).toMatch(asPattern(sees));
    expect(exitCode, output).toBe(0);
  };
  // What changes something does it at once; what only looks may look again a little later.
  if (isChange) await look();
  else await eventually(look, 90_000);
});
