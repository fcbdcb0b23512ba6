import { Code } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { expect, test } from "vitest";
import { OrderService } from "../gen/shop/order/v1/order_service_pb.ts";
import { PaymentService } from "../gen/shop/payment/v1/payment_service_pb.ts";
import { ProductService } from "../gen/shop/product/v1/product_service_pb.ts";
import { meshClient } from "../mesh/rpc/client/client.ts";
import { dataPlaneOf } from "../mesh/rpc/data-planes.ts";
import { refusalOf } from "../mesh/testing/refusal.ts";
import { eventually, openShop } from "./shop.ts";

const shop = await openShop({ CORS_ORIGINS: "https://shop.example" });
const address = shop.system.address("gateway");
const url = `http://${address}`;

const [ada, ops] = await Promise.all([shop.signIn("ada"), shop.signIn("ops")]);
const JSON_TYPE = { "content-type": "application/json" };

async function get(path: string, headers: Record<string, string> = {}) {
  const answer = await fetch(`${url}${path}`, { headers: { ...ada, ...headers } });
  return { status: answer.status, headers: answer.headers, body: (await answer.json()) as Body };
}

async function post(path: string, body: object, headers: Record<string, string> = {}) {
  const answer = await fetch(`${url}${path}`, {
    method: "POST",
    headers: { ...JSON_TYPE, ...ada, ...headers },
    body: JSON.stringify(body),
  });
  return { status: answer.status, body: (await answer.json()) as Body };
}

interface Body {
  readonly order?: { readonly orderId: string; readonly state: string };
  readonly [name: string]: unknown;
}

const ORDER = {
  customer_id: "cust-ada",
  lines: [{ product_id: "prod-espresso", quantity: 1 }],
  payment_token: "tok_ok",
  wait: "30s",
};

test("an order is placed, read, listed, paid for and watched over HTTP", async () => {
  const placed = await post("/v1/orders", ORDER);
  expect(placed).toMatchObject({ status: 200, body: { order: { state: "ORDER_STATE_CONFIRMED" } } });
  const orderId = placed.body.order?.orderId;
  expect(await get(`/v1/orders/${orderId}`)).toMatchObject({ status: 200, body: { order: { orderId } } });
  expect((await get("/v1/customers/cust-ada/orders?page_size=1")).body).toMatchObject({
    orders: [{ orderId }],
  });
  expect((await get(`/v1/orders/${orderId}/payment`)).body).toMatchObject({
    payment: { orderId, state: "PAYMENT_STATE_CAPTURED" },
  });
  const watched = await fetch(`${url}/v1/orders/${orderId}:watch`, {
    headers: { ...ada, accept: "text/event-stream" },
  });
  const events = await watched.text();
  expect(events).toContain('"state":"ORDER_STATE_CONFIRMED"');
  expect(events.endsWith("event: end\ndata: {}\n\n")).toBe(true);
});

test("the same idempotency-key orders once", async () => {
  const headers = { "idempotency-key": '"gateway-once"' };
  const [one, other] = await Promise.all([
    post("/v1/orders", ORDER, headers),
    post("/v1/orders", ORDER, headers),
  ]);
  expect(one.body.order?.orderId).toBeDefined();
  expect(other.body.order?.orderId).toBe(one.body.order?.orderId);
});

test("a refusal comes from the service behind, in its own words", async () => {
  expect(await get("/v1/orders/none")).toMatchObject({
    status: 404,
    body: { code: Code.NotFound, details: [{ reason: "ORDER_NOT_FOUND", domain: "shop.order.v1" }] },
  });
  expect(
    await get("/v1/products?page_size=-1", { accept: "application/problem+json, application/json;q=0.1" }),
  ).toMatchObject({
    status: 400,
    body: { reason: "INVALID_REQUEST", violations: [{ field: "page_size" }] },
  });
});

test("a review reaches the product's page through three services", async () => {
  const review = { customer_id: "cust-ada", rating: 5, title: "Wakes the dead" };
  await eventually(async () => {
    const { status, body } = await post("/v1/products/prod-espresso/reviews", review);
    if (status !== 200) throw new Error(JSON.stringify(body));
  });
  const { body } = await get("/v1/products/prod-espresso:reviewed");
  expect(body).toMatchObject({
    product: { productId: "prod-espresso" },
    reviews: [{ title: "Wakes the dead" }],
    rating: { count: 1 },
  });
});

test("products are imported line by line", async () => {
  const row = (productId: string, units: number) =>
    JSON.stringify({ product: { productId, name: productId, price: { currencyCode: "EUR", units } } });
  const answer = await fetch(`${url}/v1/products:import`, {
    method: "POST",
    headers: { ...ops, "content-type": "application/x-ndjson" },
    body: `${row("by-line-1", 3)}\n${row("by-line-2", -4)}\n`,
  });
  expect([answer.status, await answer.json()]).toMatchObject([200, { createdCount: 1, failedCount: 1 }]);
});

test("what is kept is kept as the contract says", async () => {
  const first = await get("/v1/products/prod-grinder");
  expect(first.headers.get("cache-control")).toBe("max-age=1, stale-while-revalidate=4, stale-if-error=300");
  const again = await fetch(`${url}/v1/products/prod-grinder`, {
    headers: { "if-none-match": first.headers.get("etag") ?? "" },
  });
  expect(again.status).toBe(304);
});

test("pages of the origins that the setting names may call", async () => {
  const preflight = (origin: string) =>
    fetch(`${url}/v1/orders`, {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "POST" },
    });
  const allowed = async (origin: string) =>
    (await preflight(origin)).headers.get("access-control-allow-origin");
  expect(await allowed("https://shop.example")).toBe("https://shop.example");
  expect(await allowed("https://other.example")).toBeNull();
});

const grpc = dataPlaneOf().grpc(
  { host: "127.0.0.1", port: Number(address.split(":")[1]) },
  { interceptors: [], maxMessageBytes: 2 ** 22 },
);

test.each([
  ["gRPC", grpc],
  ["gRPC-Web", createGrpcWebTransport({ baseUrl: url, httpVersion: "1.1" })],
  ["Connect", createConnectTransport({ baseUrl: url, httpVersion: "1.1" })],
])("%s goes through the same port", async (_, way) => {
  const { product } = await meshClient(ProductService, way).getProduct({ productId: "prod-grinder" });
  expect(product?.productId).toBe("prod-grinder");
  const watching = meshClient(OrderService, way).watchOrder({ orderId: "none" }, { headers: ada });
  await expect(Array.fromAsync(watching)).rejects.toMatchObject({ code: Code.NotFound });
});

test("what only services call is not offered", async () => {
  const hidden = meshClient(PaymentService, grpc).voidPayment({ orderId: "o1" }, { headers: ops });
  expect(await refusalOf(hidden)).toMatchObject({ code: "PermissionDenied", reason: "NOT_ALLOWED" });
});

test("a service that is away is a 503, and the others go on", async () => {
  await shop.system.halt("payment-1");
  expect(await get("/v1/orders/any/payment")).toMatchObject({ status: 503 });
  expect(await get("/v1/products/prod-rare")).toMatchObject({ status: 200 });
  await shop.system.resume("payment-1");
});
