import { ReviewPostedSchema } from "../../gen/shop/review/v1/review_event_pb.ts";
import { ReviewService } from "../../gen/shop/review/v1/review_service_pb.ts";
import { openParts } from "../../mesh/app/parts.ts";
import { type App, serve } from "../../mesh/app/serve.ts";
import { openClients } from "./clients.ts";
import type { Settings } from "./config.ts";
import { buyerHandlers } from "./events.ts";
import { reviewService } from "./service.ts";

/** Builds the review service and starts it. */
export async function startApp(settings: Settings): Promise<App> {
  const parts = await openParts("review", settings, new URL("migrations/", import.meta.url));
  const clients = openClients(settings, parts.clients);
  return serve(parts, {
    contract: ReviewService,
    routes: (router) => router.service(ReviewService, reviewService(parts.sql, clients)),
    publishes: ReviewPostedSchema,
    handles: { buyers: buyerHandlers },
    targets: clients.targets,
  });
}
