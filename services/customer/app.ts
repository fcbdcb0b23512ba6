import { CustomerRegisteredSchema } from "../../gen/shop/customer/v1/customer_event_pb.ts";
import { CustomerService } from "../../gen/shop/customer/v1/customer_service_pb.ts";
import { SendNotificationSchema } from "../../gen/shop/notification/v1/notification_command_pb.ts";
import { openParts } from "../../mesh/app/parts.ts";
import { type App, serve } from "../../mesh/app/serve.ts";
import { type Clock, systemClock } from "../../mesh/core/clock.ts";
import type { Settings } from "./config.ts";
import { jwksPage } from "./jwks.ts";
import { openPasswords } from "./passwords.ts";
import { seedDemo } from "./seed.ts";
import { customerService } from "./service.ts";
import { openSignInLimit } from "./sign-in-limit.ts";
import { openSigningKeys } from "./signing-keys.ts";
import { tokenIssuer } from "./token.ts";

/** Builds the customer service and starts it. */
export async function startApp(settings: Settings, clock: Clock = systemClock): Promise<App> {
  const parts = await openParts("customer", settings, new URL("migrations/", import.meta.url));
  const passwords = openPasswords();
  if (settings.seed === "demo") await seedDemo(parts.sql, passwords);
  const keys = openSigningKeys(parts.sql, settings.keyRotationHours, clock);
  const issueToken = tokenIssuer(
    { issuer: settings.tokenIssuer, audience: settings.tokenAudience },
    keys,
    clock,
  );
  const { sql } = parts;
  const { signInMaxAttempts: maxAttempts, signInWindowMs: windowMs } = settings;
  const signIns = openSignInLimit(sql, { maxAttempts, windowMs });
  const service = customerService({ sql, passwords, issueToken, signIns, keys });
  return serve(parts, {
    contract: CustomerService,
    routes: (router) => router.service(CustomerService, service),
    http: jwksPage(keys),
    publishes: CustomerRegisteredSchema,
    sends: [SendNotificationSchema],
    prunes: [keys.prune, signIns.prune],
  });
}
