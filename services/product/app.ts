import { RestockProductSchema } from "../../gen/shop/product/v1/product_command_pb.ts";
import { ProductCreatedSchema } from "../../gen/shop/product/v1/product_event_pb.ts";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { openParts } from "../../mesh/app/parts.ts";
import { type App, serve } from "../../mesh/app/serve.ts";
import type { Settings } from "./config.ts";
import { commandHandlers } from "./events.ts";
import { ratings } from "./ratings.ts";
import { restockSaga } from "./saga.ts";
import { seedDemo } from "./seed.ts";
import { productService } from "./service.ts";
import { openSupplier } from "./supplier.ts";

/** Builds the product service and starts it. */
export async function startApp(settings: Settings): Promise<App> {
  const parts = await openParts("product", settings, new URL("migrations/", import.meta.url));
  if (settings.seed === "demo") await seedDemo(parts.sql);
  const supplier = openSupplier(settings.restockStepMs);
  const saga = restockSaga(supplier);
  const app = await serve(parts, {
    contract: ProductService,
    routes: (router) => router.service(ProductService, productService(parts.sql)),
    publishes: ProductCreatedSchema,
    sends: [RestockProductSchema],
    handles: { commands: commandHandlers(saga) },
    readModels: { ratings },
    sagas: [saga],
  });
  return {
    ...app,
    stop() {
      supplier.close();
      return app.stop();
    },
  };
}
