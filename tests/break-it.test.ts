import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test, vi } from "vitest";
import { canRun, run } from "./commands.ts";
import { asPattern, stepsOf } from "./guide.ts";
import { eventually, openShop } from "./shop.ts";

// Commands are processes, and breakers stay open for longer the longer all fails, on a machine that may be busy with other
// tests.
vi.setConfig({ testTimeout: 120_000 });

const guide = readFileSync(resolve(import.meta.dirname, "../docs/guides/break-it.md"), "utf8");
const shop = await openShop();

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
  else await eventually(look, 90_000);
});
