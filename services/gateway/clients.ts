import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { AuditService } from "../../gen/shop/audit/v1/audit_service_pb.ts";
import { CustomerService } from "../../gen/shop/customer/v1/customer_service_pb.ts";
import { NotificationService } from "../../gen/shop/notification/v1/notification_service_pb.ts";
import { OrderService } from "../../gen/shop/order/v1/order_service_pb.ts";
import { PaymentService } from "../../gen/shop/payment/v1/payment_service_pb.ts";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { ReviewService as ReviewServiceV1 } from "../../gen/shop/review/v1/review_service_pb.ts";
import { ReviewService } from "../../gen/shop/review/v2/review_service_pb.ts";
import { statedRoutes } from "../../mesh/contract/routes.ts";
import { type ClientOptions, meshClient, type OpenTarget, openTarget } from "../../mesh/rpc/client/client.ts";
import type { Settings } from "./config.ts";

/** A service behind the gateway. */
export interface Behind {
  readonly service: DescService;
  /** What callers from outside may call: what has a route. */
  readonly methods: readonly DescMethod[];
  readonly way: OpenTarget;
}

/** Opens the ways to all services; older versions of a contract go the way of the newest. */
export function openClients(settings: Settings, mesh?: ClientOptions): Behind[] {
  const behind = (
    name: "product" | "review" | "order" | "payment" | "customer" | "notification" | "audit",
    service: DescService,
    ...older: DescService[]
  ): Behind[] => {
    const [target, protocol] = [settings[`${name}Target`], settings[`${name}Transport`]] as const;
    const way = openTarget({ service, target, protocol }, mesh);
    return [service, ...older].map((each) => ({
      service: each,
      methods: each.methods.filter((method) => statedRoutes(method).length > 0),
      way,
    }));
  };
  return [
    ...behind("product", ProductService),
    ...behind("review", ReviewService, ReviewServiceV1),
    ...behind("order", OrderService),
    ...behind("payment", PaymentService),
    ...behind("customer", CustomerService),
    ...behind("notification", NotificationService),
    ...behind("audit", AuditService),
  ];
}

/** Clients of the services whose answers make pages, on the same ways. */
export type PageClients = ReturnType<typeof pageClients>;

/** Makes the clients that pages are put together with. */
export function pageClients(behind: readonly Behind[]) {
  const clientOf = <S extends DescService>(service: S) => {
    const found = behind.find((each) => each.service === service);
    if (!found) throw new Error(`the gateway has no way to ${service.typeName}`);
    return meshClient(service, found.way);
  };
  return {
    products: clientOf(ProductService),
    reviews: clientOf(ReviewService),
    orders: clientOf(OrderService),
    payments: clientOf(PaymentService),
  };
}
