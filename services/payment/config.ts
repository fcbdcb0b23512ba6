import { portSetting, serviceSettings } from "../../mesh/app/settings.ts";
import { type Config, type Env, readConfig } from "../../mesh/core/config.ts";

const settings = { ...serviceSettings, port: portSetting(50054) };

/** The settings of the payment service. */
export type Settings = Config<typeof settings>;

/** Reads the settings; throws one error that names all problems. */
export function readSettings(env: Env): Settings {
  return readConfig(settings, env);
}
