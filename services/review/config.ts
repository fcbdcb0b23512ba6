import { portSetting, serviceSettings } from "../../mesh/app/settings.ts";
import { type Config, choice, type Env, readConfig } from "../../mesh/core/config.ts";
import { target } from "../../mesh/discovery/target.ts";
import { PROTOCOLS } from "../../mesh/rpc/client/protocol.ts";

const settings = {
  ...serviceSettings,
  port: portSetting(50052),
  productTarget: target("PRODUCT_TARGET", "static:///127.0.0.1:50051,127.0.0.1:50151"),
  productTransport: choice("PRODUCT_TRANSPORT", PROTOCOLS, "connect"),
};

/** The settings of the review service. */
export type Settings = Config<typeof settings>;

/** Reads the settings; throws one error that names all problems. */
export function readSettings(env: Env): Settings {
  return readConfig(settings, env);
}
