import { afterAll, expect, inject, test } from "vitest";
import { openStage, SHORT } from "./chaos/stage.ts";
import { TRIALS } from "./chaos/trials.ts";
import { misses } from "./scenarios/scenario.ts";

// Processes die and begin again, which takes its time on a busy machine.
const TIMEOUT_MS = 180_000;
const SEED = 20_26;

const stage = await openStage({ profile: SHORT, seed: SEED, natsServer: inject("natsServer") });
afterAll(() => stage.close(), 30_000);

test.each(TRIALS.map((trial) => [trial.id, trial.what, trial] as const))(
  "%s: %s",
  { timeout: TIMEOUT_MS },
  async (_id, _what, trial) => {
    expect(misses(trial, await trial.run(stage))).toEqual([]);
  },
);
