import { ReviewPostedSchema } from "../../gen/shop/review/v1/review_event_pb.ts";
import { ReviewService } from "../../gen/shop/review/v1/review_service_pb.ts";
import { ReviewService as ReviewServiceV2 } from "../../gen/shop/review/v2/review_service_pb.ts";
import { openParts } from "../../mesh/app/parts.ts";
import { type App, serve } from "../../mesh/app/serve.ts";
import { buyers } from "./buyers.ts";
import { openClients } from "./clients.ts";
import type { Settings } from "./config.ts";
import { reviewService } from "./service.ts";
import { reviewServiceV2 } from "./service-v2.ts";

/** Builds the review service and starts it. */
export async function startApp(settings: Settings): Promise<App> {
  const parts = await openParts("review", settings, new URL("migrations/", import.meta.url));
  const clients = openClients(settings, parts.clients);
  return serve(parts, {
    contract: ReviewService,
    offers: [ReviewServiceV2],
    routes(router) {
      router.service(ReviewService, reviewService(parts.sql, clients));
      router.service(ReviewServiceV2, reviewServiceV2(parts.sql));
    },
    publishes: ReviewPostedSchema,
    readModels: { buyers },
    targets: clients.targets,
  });
}
