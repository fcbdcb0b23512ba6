import { OrderPlacedSchema } from "../../gen/shop/order/v1/order_event_pb.ts";
import { OrderService } from "../../gen/shop/order/v1/order_service_pb.ts";
import { openParts } from "../../mesh/app/parts.ts";
import { type App, serve } from "../../mesh/app/serve.ts";
import { Changes } from "../../mesh/store/watch.ts";
import { openClients } from "./clients.ts";
import type { Settings } from "./config.ts";
import { paymentHandlers } from "./events.ts";
import { customers, products } from "./replicas.ts";
import { orderSaga } from "./saga.ts";
import { orderService } from "./service.ts";
import { isKnownCustomer, knownPrices, readOrder } from "./store.ts";

/** Builds the order service and starts it. */
export async function startApp(settings: Settings): Promise<App> {
  const parts = await openParts("order", settings, new URL("migrations/", import.meta.url));
  const { sql } = parts;
  const replicas = {
    knownPrices: (productIds: readonly string[]) => knownPrices(sql, productIds),
    isKnownCustomer: (customerId: string) => isKnownCustomer(sql, customerId),
  };
  const clients = openClients(settings, replicas, parts.clients);
  const changes = new Changes();
  const saga = orderSaga(clients, (orderId) => readOrder(sql, orderId), changes);
  return serve(parts, {
    contract: OrderService,
    routes: (router) => router.service(OrderService, orderService({ sql, clients, saga, changes })),
    publishes: OrderPlacedSchema,
    handles: { payments: paymentHandlers },
    readModels: { products, customers },
    sagas: [saga],
    targets: clients.targets,
  });
}
