import { portSetting, serviceSettings } from "../../mesh/app/settings.ts";
import { type Config, type Env, integer, readConfig } from "../../mesh/core/config.ts";

const settings = {
  ...serviceSettings,
  port: portSetting(50055),
  /** How long one key signs before the next one does. */
  keyRotationHours: integer("KEY_ROTATION_HOURS", 24, { min: 1, max: 24 * 366 }),
  /** How many wrong passwords an address may get in a window, before it is blocked until the window ends. */
  signInMaxAttempts: integer("SIGN_IN_MAX_ATTEMPTS", 10, { min: 1 }),
  /** How long that window is, from the first wrong one on. */
  signInWindowMs: integer("SIGN_IN_WINDOW_MS", 900_000, { min: 1_000 }),
};

/** The settings of the customer service. */
export type Settings = Config<typeof settings>;

/** Reads the settings; throws one error that names all problems. */
export function readSettings(env: Env): Settings {
  return readConfig(settings, env);
}
