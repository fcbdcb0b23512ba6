import { portSetting, serviceSettings } from "../../mesh/app/settings.ts";
import { type Config, type Env, integer, readConfig } from "../../mesh/core/config.ts";

const settings = {
  ...serviceSettings,
  port: portSetting(50051),
  /** How long the simulated supplier takes for each of its two steps; shorter than a saga's lease. */
  restockStepMs: integer("RESTOCK_STEP_MS", 4_000, { max: 10_000 }),
};

/** The settings of the product service. */
export type Settings = Config<typeof settings>;

/** Reads the settings; throws one error that names all problems. */
export function readSettings(env: Env): Settings {
  return readConfig(settings, env);
}
