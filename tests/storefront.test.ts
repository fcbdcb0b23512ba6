import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { expect, test } from "vitest";
import { AdminService } from "../gen/mesh/admin/v1/admin_service_pb.ts";
import type {
  GetOrderPageResponseJson,
  GetProductPageResponseJson,
} from "../gen/shop/storefront/v1/storefront_service_pb.ts";
import { StorefrontService } from "../gen/shop/storefront/v1/storefront_service_pb.ts";
import { meshClient } from "../mesh/rpc/client/client.ts";
import { dataPlaneOf } from "../mesh/rpc/data-planes.ts";
import { eventually, openShop } from "./shop.ts";

const shop = await openShop();
const { system } = shop;
const address = system.address("gateway");
const url = `http://${address}`;
const ada = await shop.signIn("ada");

async function page<T>(path: string) {
  const answer = await fetch(`${url}/v1/${path}`, { headers: ada });
  return { status: answer.status, headers: answer.headers, body: (await answer.json()) as T };
}
const productPage = (id: string) => page<GetProductPageResponseJson>(`product-pages/${id}`);

const { order } = await shop.orders.placeOrder({
  customerId: "cust-ada",
  lines: [{ productId: "prod-grinder", quantity: 1 }],
  paymentToken: "tok_ok",
  wait: { seconds: 30n },
});
await eventually(() =>
  shop.reviews.createReview({ productId: "prod-grinder", customerId: "cust-ada", rating: 4, title: "Even" }),
);

test("a product's page is one call over HTTP, and so is an order's", async () => {
  await eventually(async () => {
    const { status, body, headers } = await productPage("prod-grinder");
    expect([status, headers.get("mesh-degraded")]).toEqual([200, null]);
    expect(body).toMatchObject({
      product: { productId: "prod-grinder", availableStock: 4, rating: { average: 4, count: 1 } },
      reviews: [{ title: "Even", halfStars: 8 }],
      degraded: [],
    });
  });
  const { status, body } = await page<GetOrderPageResponseJson>(`order-pages/${order?.orderId}`);
  expect(status).toBe(200);
  expect(body).toMatchObject({
    order: { orderId: order?.orderId, state: "ORDER_STATE_CONFIRMED" },
    products: [{ productId: "prod-grinder" }],
    payment: { state: "PAYMENT_STATE_CAPTURED" },
    degraded: [],
  });
});

const grpc = dataPlaneOf().grpc(
  { host: "127.0.0.1", port: Number(address.split(":")[1]) },
  { interceptors: [], maxMessageBytes: 2 ** 22 },
);

test.each([
  ["gRPC", grpc],
  ["gRPC-Web", createGrpcWebTransport({ baseUrl: url, httpVersion: "1.1" })],
  ["Connect", createConnectTransport({ baseUrl: url, httpVersion: "1.1" })],
])("%s has the same page on the same port", async (_, way) => {
  const { product } = await meshClient(StorefrontService, way).getProductPage({ productId: "prod-grinder" });
  expect(product?.productId).toBe("prod-grinder");
});

test("the refusals of the first part are the page's", async () => {
  expect(await productPage("prod-none")).toMatchObject({
    status: 404,
    body: { details: [{ reason: "PRODUCT_NOT_FOUND", domain: "shop.product.v1" }] },
  });
  expect(await page("order-pages/none")).toMatchObject({
    status: 404,
    body: { details: [{ reason: "ORDER_NOT_FOUND", domain: "shop.order.v1" }] },
  });
});

async function setFaults(instance: string, faults: readonly object[]): Promise<void> {
  const { port = 0 } = system.instances.find((each) => each.instance === instance) ?? {};
  const way = createConnectTransport({ baseUrl: `http://127.0.0.1:${port}`, httpVersion: "1.1" });
  await createClient(AdminService, way).setFaults({ faults: [...faults] });
}

test("a part that is slower than its own contract allows is left out, and named", async () => {
  const method = "shop.review.v2.ReviewService/ListReviews";
  await setFaults("review-1", [{ method, delay: { seconds: 30n } }]);
  const { status, headers, body } = await productPage("prod-grinder");
  await setFaults("review-1", []);
  expect([status, headers.get("mesh-degraded"), headers.get("cache-control")]).toEqual([
    200,
    "fallback",
    "no-store",
  ]);
  expect(body).toMatchObject({
    product: { productId: "prod-grinder", rating: { count: 1 } },
    reviews: [],
    degraded: [{ part: "reviews", reason: "DEGRADED_REASON_TIMEOUT" }],
  });
});

test("without review there is a page, with the rating that product keeps", async () => {
  await system.halt("review-1");
  expect(await productPage("prod-grinder")).toMatchObject({
    status: 200,
    body: {
      product: { productId: "prod-grinder", rating: { average: 4, count: 1 } },
      reviews: [],
      degraded: [{ part: "reviews", reason: "DEGRADED_REASON_UNAVAILABLE" }],
    },
  });
  await system.resume("review-1");
  await eventually(async () => expect((await productPage("prod-grinder")).body.degraded).toEqual([]));
});

test("without product a page is what it was, if it was asked for before, and says so", async () => {
  await productPage("prod-grinder");
  for (const { instance } of system.instances.filter(({ service }) => service === "product"))
    await system.halt(instance);
  await eventually(async () => {
    const { status, headers, body } = await productPage("prod-grinder");
    expect([status, headers.get("mesh-degraded")]).toEqual([200, "stale"]);
    expect(body).toMatchObject({
      product: { productId: "prod-grinder" },
      reviews: [{ title: "Even" }],
      degraded: [{ part: "product", reason: "DEGRADED_REASON_STALE" }],
    });
  });
  expect(await productPage("prod-rare")).toMatchObject({
    status: 503,
    body: { details: [{ reason: "DEPENDENCY_UNAVAILABLE" }] },
  });
  expect(await page(`order-pages/${order?.orderId}`)).toMatchObject({
    status: 200,
    body: {
      order: { orderId: order?.orderId },
      products: [],
      payment: { state: "PAYMENT_STATE_CAPTURED" },
      degraded: [{ part: "products", reason: "DEGRADED_REASON_UNAVAILABLE" }],
    },
  });
});
