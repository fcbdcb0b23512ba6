import { PaymentAuthorizedSchema } from "../../gen/shop/payment/v1/payment_event_pb.ts";
import { PaymentService } from "../../gen/shop/payment/v1/payment_service_pb.ts";
import { openParts } from "../../mesh/app/parts.ts";
import { type App, serve } from "../../mesh/app/serve.ts";
import { type Clock, systemClock } from "../../mesh/core/clock.ts";
import type { Settings } from "./config.ts";
import { simulatedProvider } from "./provider.ts";
import { paymentService } from "./service.ts";

/** Builds the payment service and starts it. */
export async function startApp(settings: Settings, clock: Clock = systemClock): Promise<App> {
  const parts = await openParts("payment", settings, new URL("migrations/", import.meta.url));
  const provider = simulatedProvider(parts.sql, clock);
  return serve(parts, {
    contract: PaymentService,
    routes: (router) => router.service(PaymentService, paymentService(parts.sql, provider)),
    publishes: PaymentAuthorizedSchema,
  });
}
