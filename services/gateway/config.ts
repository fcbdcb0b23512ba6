import { portSetting, processSettings } from "../../mesh/app/settings.ts";
import { type Config, choice, type Env, integer, readConfig, text } from "../../mesh/core/config.ts";
import { target } from "../../mesh/discovery/target.ts";
import { edgeSettings } from "../../mesh/edge/settings.ts";
import { PROTOCOLS } from "../../mesh/rpc/client/protocol.ts";

const settings = {
  ...processSettings,
  ...edgeSettings,
  port: portSetting(8080),
  /** It always asks who calls, so it always needs the keys. */
  jwksUrl: text("MESH_JWKS_URL", "http://127.0.0.1:50055/.well-known/jwks.json"),
  /** The origins whose pages may call, such as `https://shop.example`, with commas between them; `*` for any. */
  corsOrigins: text("CORS_ORIGINS", ""),
  /** How long the body of a REST call may take to come. Milliseconds. */
  restBodyWithinMs: integer("REST_BODY_WITHIN_MS", 30_000, { min: 100 }),
  /** The folder that the shop's page was built into, from where the process is started. */
  pageFolder: text("PAGE_FOLDER", "web/dist"),
  productTarget: target("PRODUCT_TARGET", "static:///127.0.0.1:50051,127.0.0.1:50151"),
  productTransport: choice("PRODUCT_TRANSPORT", PROTOCOLS, "grpc"),
  reviewTarget: target("REVIEW_TARGET", "static:///127.0.0.1:50052"),
  reviewTransport: choice("REVIEW_TRANSPORT", PROTOCOLS, "grpc"),
  orderTarget: target("ORDER_TARGET", "static:///127.0.0.1:50053"),
  orderTransport: choice("ORDER_TRANSPORT", PROTOCOLS, "grpc"),
  paymentTarget: target("PAYMENT_TARGET", "static:///127.0.0.1:50054"),
  paymentTransport: choice("PAYMENT_TRANSPORT", PROTOCOLS, "grpc"),
  customerTarget: target("CUSTOMER_TARGET", "static:///127.0.0.1:50055"),
  customerTransport: choice("CUSTOMER_TRANSPORT", PROTOCOLS, "grpc"),
  notificationTarget: target("NOTIFICATION_TARGET", "static:///127.0.0.1:50056"),
  notificationTransport: choice("NOTIFICATION_TRANSPORT", PROTOCOLS, "grpc"),
  auditTarget: target("AUDIT_TARGET", "static:///127.0.0.1:50057"),
  auditTransport: choice("AUDIT_TRANSPORT", PROTOCOLS, "grpc"),
};

/** The settings of the gateway. */
export type Settings = Config<typeof settings>;

/** Reads the settings; throws one error that names all problems. */
export function readSettings(env: Env): Settings {
  return readConfig(settings, env);
}
