import { NotificationSentSchema } from "../../gen/shop/notification/v1/notification_event_pb.ts";
import { NotificationService } from "../../gen/shop/notification/v1/notification_service_pb.ts";
import { openParts } from "../../mesh/app/parts.ts";
import { type App, serve } from "../../mesh/app/serve.ts";
import type { Settings } from "./config.ts";
import { commandHandlers, customerHandlers, orderHandlers, paymentHandlers } from "./events.ts";
import { openMailer } from "./mailer.ts";
import { deliverySaga } from "./saga.ts";
import { notificationService } from "./service.ts";

/** Builds the notification service and starts it. */
export async function startApp(settings: Settings): Promise<App> {
  const parts = await openParts("notification", settings, new URL("migrations/", import.meta.url));
  const saga = deliverySaga(parts.sql, openMailer(settings));
  return serve(parts, {
    contract: NotificationService,
    routes: (router) => router.service(NotificationService, notificationService(parts.sql, saga)),
    publishes: NotificationSentSchema,
    handles: {
      orders: orderHandlers(saga),
      payments: paymentHandlers(saga),
      customers: customerHandlers,
      commands: commandHandlers(saga),
    },
    sagas: [saga],
  });
}
