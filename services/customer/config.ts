import { portSetting, serviceSettings } from "../../mesh/app/settings.ts";
import { type Config, type Env, integer, readConfig, text } from "../../mesh/core/config.ts";

const settings = {
  ...serviceSettings,
  port: portSetting(50055),
  /** Who the tokens say has issued them. */
  tokenIssuer: text("TOKEN_ISSUER", "weft-shop"),
  /** How long one key signs before the next one does. */
  keyRotationHours: integer("KEY_ROTATION_HOURS", 24, { min: 1, max: 24 * 366 }),
};

/** The settings of the customer service. */
export type Settings = Config<typeof settings>;

/** Reads the settings; throws one error that names all problems. */
export function readSettings(env: Env): Settings {
  return readConfig(settings, env);
}
