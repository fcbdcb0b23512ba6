import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { decodeProtectedHeader, importJWK, SignJWT } from "jose";
import { describe, expect, test } from "vitest";
import { AdminService } from "../gen/mesh/admin/v1/admin_service_pb.ts";
import { NotificationService } from "../gen/shop/notification/v1/notification_service_pb.ts";
import { OrderService } from "../gen/shop/order/v1/order_service_pb.ts";
import { PaymentService } from "../gen/shop/payment/v1/payment_service_pb.ts";
import { ProductService } from "../gen/shop/product/v1/product_service_pb.ts";
import { ReviewService as ReviewServiceV1 } from "../gen/shop/review/v1/review_service_pb.ts";
import { ReviewService } from "../gen/shop/review/v2/review_service_pb.ts";
import { StorefrontService } from "../gen/shop/storefront/v1/storefront_service_pb.ts";
import { accessOf } from "../mesh/contract/access.ts";
import { methodName } from "../mesh/contract/policy.ts";
import { refusalOf } from "../mesh/testing/refusal.ts";
import type { ServiceName } from "../services/run.ts";
import { shopServices } from "../tools/contracts/shop-services.ts";
import { run } from "./commands.ts";
import { eventually, openShop } from "./shop.ts";

const shop = await openShop({ MESH_AUTH: "enforce", RATE_LIMIT: "off" });
const [ada, grace, ops] = await Promise.all([shop.signIn("ada"), shop.signIn("grace"), shop.signIn("ops")]);

const to = (service: ServiceName) =>
  createConnectTransport({ baseUrl: `http://${shop.system.address(service)}`, httpVersion: "1.1" });
const by = (headers: Record<string, string>) => ({ headers });

const MISSING = { code: "Unauthenticated", reason: "TOKEN_MISSING", domain: "mesh.weft" };
const INVALID = { code: "Unauthenticated", reason: "TOKEN_INVALID", domain: "mesh.weft" };
const DENIED = { code: "PermissionDenied", reason: "NOT_ALLOWED", domain: "mesh.weft" };
const NO_ORDER = { code: "NotFound", reason: "ORDER_NOT_FOUND", domain: "shop.order.v1" };

/** A new order of Ada's, confirmed: the saga and the events of all services have done their part. */
async function order(requestId: string): Promise<string> {
  const { order } = await createClient(OrderService, to("gateway")).placeOrder(
    {
      customerId: "cust-ada",
      lines: [{ productId: "prod-espresso", quantity: 1 }],
      paymentToken: "tok_ok",
      requestId,
      wait: { seconds: 30n },
    },
    by(ada),
  );
  expect(order).toMatchObject({ state: 2, customerId: "cust-ada" });
  return order?.orderId ?? "";
}

const orderId = await order("auth-1");

// Through the gateway, and past it: both know who calls.
describe.each(["gateway", "order"] as const)("at the port of %s", (door) => {
  const orders = createClient(OrderService, to(door));

  test("a customer reads, lists and watches her order; to another there is none", async () => {
    expect((await orders.getOrder({ orderId }, by(ada))).order?.orderId).toBe(orderId);
    expect((await orders.getOrder({ orderId }, by(ops))).order?.orderId).toBe(orderId);
    const none = await refusalOf(orders.getOrder({ orderId: "none" }, by(grace)));
    expect(none).toEqual(NO_ORDER);
    expect(await refusalOf(orders.getOrder({ orderId }, by(grace)))).toEqual(NO_ORDER);
    expect(await refusalOf(orders.cancelOrder({ orderId }, by(grace)))).toEqual(NO_ORDER);
    expect(await refusalOf(Array.fromAsync(orders.watchOrder({ orderId }, by(grace))))).toEqual(NO_ORDER);
    expect(await Array.fromAsync(orders.watchOrder({ orderId }, by(ada)))).toMatchObject([
      { order: { orderId } },
    ]);
  });

  test("a customer orders and lists for herself only, and nobody does without a token", async () => {
    const line = { lines: [{ productId: "prod-espresso", quantity: 1 }], paymentToken: "tok_ok" };
    const forAda = { customerId: "cust-ada", ...line };
    expect(await refusalOf(orders.placeOrder(forAda, by(grace)))).toEqual(DENIED);
    expect(await refusalOf(orders.placeOrder(forAda))).toEqual(MISSING);
    expect((await orders.listOrders({ customerId: "cust-ada" }, by(ada))).orders.length).toBeGreaterThan(0);
    expect(await refusalOf(orders.listOrders({ customerId: "cust-ada" }, by(grace)))).toEqual(DENIED);
    expect(await refusalOf(orders.listOrders({ customerId: "cust-ada" }))).toEqual(MISSING);
  });
});

test.each(["gateway", "payment"] as const)("at the port of %s a payment is its customer's", async (door) => {
  const payments = createClient(PaymentService, to(door));
  expect((await payments.getPayment({ orderId }, by(ada))).payment?.orderId).toBe(orderId);
  const none = { code: "NotFound", reason: "PAYMENT_NOT_FOUND", domain: "shop.payment.v1" };
  expect(await refusalOf(payments.getPayment({ orderId }, by(grace)))).toEqual(none);
  expect(await refusalOf(payments.getPayment({ orderId: "none" }, by(grace)))).toEqual(none);
  const refund = { orderId, amount: { currencyCode: "EUR", units: 1n } };
  expect(await refusalOf(payments.refundPayment(refund, by(ada)))).toEqual(DENIED);
});

test.each(["gateway", "notification"] as const)(
  "at the port of %s mails are their customer's",
  async (door) => {
    const notifications = createClient(NotificationService, to(door));
    // Sent because of events, which nobody in particular asked for.
    await eventually(async () => {
      const found = await notifications.listNotifications({ customerId: "cust-ada" }, by(ada));
      expect(found.notifications.length).toBeGreaterThan(1);
    });
    expect(await refusalOf(notifications.listNotifications({ customerId: "cust-ada" }, by(grace)))).toEqual(
      DENIED,
    );
  },
);

test("an order's page is its customer's", async () => {
  const pages = createClient(StorefrontService, to("gateway"));
  expect(await pages.getOrderPage({ orderId }, by(ada))).toMatchObject({
    order: { orderId },
    payment: { orderId },
    products: [{ productId: "prod-espresso" }],
    degraded: [],
  });
  expect(await refusalOf(pages.getOrderPage({ orderId }, by(grace)))).toEqual(NO_ORDER);
  expect(await refusalOf(pages.getOrderPage({ orderId }))).toEqual(MISSING);
  expect((await pages.getProductPage({ productId: "prod-espresso" })).degraded).toEqual([]);
});

describe.each([
  ["v1", ReviewServiceV1, { rating: 4 }],
  ["v2", ReviewService, { halfStars: 8 }],
] as const)("review %s", (_, contract, stars) => {
  test.each(["gateway", "review"] as const)(
    "at the port of %s is written and deleted by its author",
    async (door) => {
      const reviews = createClient(contract as typeof ReviewServiceV1, to(door));
      const review = { productId: "prod-espresso", customerId: "cust-ada", title: "Mine", ...stars };
      expect(await refusalOf(reviews.createReview(review, by(grace)))).toEqual(DENIED);
      expect(await refusalOf(reviews.createReview(review))).toEqual(MISSING);
      const posted = await eventually(() => reviews.createReview(review, by(ada)));
      const reviewId = posted.review?.reviewId ?? "";
      expect((await reviews.getReview({ reviewId })).review?.title).toBe("Mine");
      expect(await refusalOf(reviews.deleteReview({ reviewId }, by(grace)))).toEqual(DENIED);
      expect(await refusalOf(reviews.deleteReview({ reviewId }))).toEqual(MISSING);
      await reviews.deleteReview({ reviewId }, by(ada));
      expect(await refusalOf(reviews.getReview({ reviewId }))).toMatchObject({ reason: "REVIEW_NOT_FOUND" });
    },
  );
});

/** A token of a service, signed with a key of these that the shop has made. */
async function serviceToken(service: string, keyOf: string, audience: string): Promise<string> {
  const jwk = JSON.parse(readFileSync(join(shop.dataDir, `service-keys/${keyOf}.private.json`), "utf8"));
  return new SignJWT()
    .setProtectedHeader({ alg: "EdDSA", typ: "mesh-service+jwt" })
    .setIssuer(service)
    .setSubject(service)
    .setAudience(audience)
    .setIssuedAt()
    .setExpirationTime("1m")
    .sign(await importJWK(jwk, "EdDSA"));
}

test("these are all the methods whose owner only their service knows, and each is asked above by somebody else", async () => {
  const kept = (await shopServices())
    .flatMap(({ methods }) => methods)
    .filter((method) => accessOf(method)?.level === "self" && !accessOf(method)?.ownerPath)
    .map(methodName);
  expect(kept.sort()).toEqual([
    "shop.order.v1.OrderService/CancelOrder",
    "shop.order.v1.OrderService/GetOrder",
    "shop.order.v1.OrderService/WatchOrder",
    "shop.payment.v1.PaymentService/GetPayment",
    "shop.review.v1.ReviewService/DeleteReview",
    "shop.review.v2.ReviewService/DeleteReview",
    "shop.storefront.v1.StorefrontService/GetOrderPage",
  ]);
});

test("what is internal is for services: by their own key, for whom they call, and not through the gateway", async () => {
  const stock = createClient(ProductService, to("product"));
  const release = { orderId: "auth-none" };
  const as = async (...[service, keyOf, audience]: Parameters<typeof serviceToken>) =>
    by({ "mesh-service-token": await serviceToken(service, keyOf, audience) });
  const { typeName } = ProductService;
  await stock.releaseStock(release, await as("order", "order", typeName));
  expect(await refusalOf(stock.releaseStock(release))).toEqual(MISSING);
  expect(await refusalOf(stock.releaseStock(release, by(ops)))).toEqual(DENIED);
  expect(await refusalOf(stock.releaseStock(release, await as("order", "payment", typeName)))).toEqual(
    INVALID,
  );
  expect(await refusalOf(stock.releaseStock(release, await as("gateway", "order", typeName)))).toEqual(
    INVALID,
  );
  expect(
    await refusalOf(stock.releaseStock(release, await as("order", "order", PaymentService.typeName))),
  ).toEqual(INVALID);
  const atGateway = createClient(ProductService, to("gateway"));
  expect(await refusalOf(atGateway.releaseStock(release, await as("order", "order", typeName)))).toEqual(
    INVALID,
  );
  expect(
    await refusalOf(atGateway.getProduct({ productId: "p" }, await as("order", "order", typeName))),
  ).toEqual(INVALID);
});

test("what is for operators is for who has signed in as one, or shows their token", async () => {
  const admin = createClient(AdminService, to("order"));
  const { operator } = JSON.parse(readFileSync(join(shop.dataDir, "operator-token.json"), "utf8"));
  expect(await refusalOf(admin.getState({}))).toEqual(MISSING);
  expect(await refusalOf(admin.getState({}, by(ada)))).toEqual(DENIED);
  expect(await refusalOf(admin.getState({}, by({ "mesh-operator-token": "guess" })))).toEqual(INVALID);
  expect((await admin.getState({}, by({ "mesh-operator-token": operator }))).service).toBe("order");
  expect((await admin.getState({}, by(ops))).service).toBe("order");
});

test("whoever claims to be someone in a header is refused, with whatever token", async () => {
  const orders = createClient(OrderService, to("order"));
  const forged = { code: "InvalidArgument", reason: "IDENTITY_FORGED", domain: "mesh.weft" };
  expect(await refusalOf(orders.getOrder({ orderId }, by({ ...grace, "x-user-id": "cust-ada" })))).toEqual(
    forged,
  );
  expect(await refusalOf(orders.getOrder({ orderId }, by({ "mesh-caller": "order" })))).toEqual(forged);
});

test("refusals are counted and logged, and no token is in any log", async () => {
  const metrics = await (await fetch(`http://${shop.system.address("order")}/metrics`)).text();
  const count = (reason: string) =>
    Number(
      new RegExp(`^mesh_auth_refused_total\\{.*reason="${reason}".*\\} (\\d+)`, "m").exec(metrics)?.[1] ?? 0,
    );
  expect(count("TOKEN_MISSING")).toBeGreaterThan(0);
  expect(count("NOT_ALLOWED")).toBeGreaterThan(0);
  expect(count("IDENTITY_FORGED")).toBeGreaterThan(0);
  const logs = shop.system.instances.map(({ instance }) =>
    readFileSync(join(shop.dataDir, `logs/${instance}.log`), "utf8"),
  );
  expect(logs.join("")).toContain('"caller":"cust-grace"');
  // How every token begins.
  expect(logs.join("")).not.toContain("eyJ");
});

test("events go on: what has been ordered leaves the stock", async () => {
  await order("auth-2");
  const products = createClient(ProductService, to("gateway"));
  await eventually(async () => {
    const { product } = await products.getProduct({ productId: "prod-espresso" });
    expect(product?.availableStock).toBe(98);
  });
});

test("keys are rotated under load, and nobody notices", { timeout: 120_000 }, async () => {
  const orders = createClient(OrderService, to("gateway"));
  const kidOf = ({ authorization }: { readonly authorization: string }) =>
    decodeProtectedHeader(authorization.slice("Bearer ".length)).kid;
  const failures: unknown[] = [];
  let [calls, isOver] = [0, false];
  let latest = ada;
  const caller = async (token: () => { readonly authorization: string }) => {
    while (!isOver) {
      await orders.getOrder({ orderId }, by(token())).catch((error: unknown) => failures.push(error));
      calls++;
    }
  };
  const load = Promise.all([caller(() => ada), caller(() => latest), caller(() => latest)]);

  const token = '$(sed -n \'s/.*"operator": "\\(.*\\)".*/\\1/p\' .data/operator-token.json)';
  const { output } = await run(shop, `MESH_OPERATOR_TOKEN=${token} meshctl/meshctl keys rotate --after 10s`);
  const [, kid, signsFrom = ""] = /^key (\S+) signs from (\S+) on/.exec(output) ?? [];
  expect(kid, output).toBeDefined();
  expect(kidOf(ada)).not.toBe(kid);
  await eventually(async () => expect(Date.now()).toBeGreaterThan(Date.parse(signsFrom)), 60_000);
  latest = await shop.signIn("ada");
  expect(kidOf(latest)).toBe(kid);
  // The new one at each door, while it is new there; the old one still.
  const before = calls;
  await eventually(async () => expect(calls).toBeGreaterThan(before + 50));
  for (const door of ["payment", "gateway"] as const)
    for (const token of [latest, ada])
      await createClient(PaymentService, to(door)).getPayment({ orderId }, by(token));
  isOver = true;
  await load;
  expect(failures).toEqual([]);
});
