import { portSetting, serviceSettings } from "../../mesh/app/settings.ts";
import { type Config, type Env, readConfig } from "../../mesh/core/config.ts";

const settings = {
  ...serviceSettings,
  port: portSetting(50057),
};

/** The settings of the audit service. */
export type Settings = Config<typeof settings>;

/** Reads the settings; throws one error that names all problems. */
export function readSettings(env: Env): Settings {
  return readConfig(settings, env);
}
