import { portSetting, serviceSettings } from "../../mesh/app/settings.ts";
import { type Config, type Env, readConfig, text, url } from "../../mesh/core/config.ts";

const settings = {
  ...serviceSettings,
  port: portSetting(50056),
  /** The mail server, with user and password if it wants them: `smtps://user:password@host`. */
  smtpUrl: url("SMTP_URL", ["smtp", "smtps"]),
  /** Whom the mails are from. */
  mailFrom: text("MAIL_FROM", "Weft shop <shop@weft.example>"),
};

/** The settings of the notification service. */
export type Settings = Config<typeof settings>;

/** Reads the settings; throws one error that names all problems. */
export function readSettings(env: Env): Settings {
  return readConfig(settings, env);
}
