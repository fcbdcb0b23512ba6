import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { type Order, OrderState } from "../gen/shop/order/v1/order_pb.ts";
import { PaymentState } from "../gen/shop/payment/v1/payment_pb.ts";
import { reasonOf } from "../mesh/rpc/errors.ts";
import { eventually, openShop } from "./shop.ts";

const shop = await openShop();

const WAIT = { seconds: 30n, nanos: 0 };

function order(productId: string, paymentToken = "tok_ok", customerId = "cust-ada") {
  return { customerId, lines: [{ productId, quantity: 1 }], paymentToken };
}

async function stockOf(productId: string): Promise<number> {
  const { product } = await shop.products.getProduct({ productId });
  return product?.availableStock ?? Number.NaN;
}

/** The order once nothing will change it any more. */
async function finalState(orderId: string): Promise<Order> {
  return eventually(async () => {
    const { order } = await shop.orders.getOrder({ orderId });
    if (!order || order.state === OrderState.PENDING) throw new Error(`order ${orderId} is still PENDING`);
    return order;
  }, 90_000);
}

test.each(shop.system.instances.map(({ instance, service, port }) => [instance, service, port] as const))(
  "%s answers health, its pages and JSON over HTTP/1.1 on its one port",
  async (_, service, port) => {
    const url = `http://127.0.0.1:${port}`;
    expect(await (await fetch(`${url}/healthz`)).text()).toBe("ok\n");
    const response = await fetch(`${url}/grpc.health.v1.Health/List`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    const { statuses } = (await response.json()) as { statuses: Record<string, { status: string }> };
    // The gateway has no service of its own, but offers those of the others.
    const owner = service === "gateway" ? "order" : service;
    const name = `shop.${owner}.v1.${owner[0]?.toUpperCase()}${owner.slice(1)}Service`;
    expect(statuses[name]).toEqual({ status: "SERVING" });
  },
);

test("an order is accepted as PENDING and is CONFIRMED without its caller; whoever watches sees both", async () => {
  const { order: placed } = await shop.orders.placeOrder(order("prod-espresso"));
  expect(placed?.state).toBe(OrderState.PENDING);

  const seen: (OrderState | undefined)[] = [];
  for await (const { order } of shop.orders.watchOrder({ orderId: placed?.orderId ?? "" }))
    seen.push(order?.state);
  expect(seen.at(-1)).toBe(OrderState.CONFIRMED);

  const { order: read } = await shop.orders.getOrder({ orderId: placed?.orderId ?? "" });
  expect(read?.total).toMatchObject({ currencyCode: "EUR", units: 12n, nanos: 990_000_000 });
  const { payment } = await shop.payments.getPayment({ orderId: placed?.orderId ?? "" });
  expect(payment?.state).toBe(PaymentState.CAPTURED);
});

test("an order that waits is answered with its end: CONFIRMED, or REJECTED with the reason and nothing held", async () => {
  const before = await stockOf("prod-espresso");
  const { order: confirmed } = await shop.orders.placeOrder({ ...order("prod-espresso"), wait: WAIT });
  expect(confirmed?.state).toBe(OrderState.CONFIRMED);
  expect(await stockOf("prod-espresso")).toBe(before - 1);

  const { order: declined } = await shop.orders.placeOrder({
    ...order("prod-espresso", "tok_declined"),
    wait: WAIT,
  });
  expect(declined).toMatchObject({ state: OrderState.REJECTED, rejectionReason: "PAYMENT_DECLINED" });
  expect(await stockOf("prod-espresso")).toBe(before - 1);

  const { order: gone } = await shop.orders.placeOrder({ ...order("prod-gone"), wait: WAIT });
  expect(gone).toMatchObject({ state: OrderState.REJECTED, rejectionReason: "OUT_OF_STOCK" });
});

test("of two who want the last piece one gets it", async () => {
  const wanted = { ...order("prod-rare"), wait: WAIT };
  const both = await Promise.all([shop.orders.placeOrder(wanted), shop.orders.placeOrder(wanted)]);
  const states = both.map(({ order }) => order?.state).sort();
  expect(states).toEqual([OrderState.CONFIRMED, OrderState.REJECTED]);
  expect(await stockOf("prod-rare")).toBe(0);
});

test("a provider that fails twice or takes three seconds is waited for", async () => {
  const slow = shop.orders.placeOrder(
    { ...order("prod-espresso", "tok_slow"), wait: WAIT },
    { timeoutMs: 40_000 },
  );
  const flaky = shop.orders.placeOrder(
    { ...order("prod-espresso", "tok_flaky"), wait: WAIT },
    { timeoutMs: 40_000 },
  );
  const states = (await Promise.all([slow, flaky])).map(({ order }) => order?.state);
  expect(states).toEqual([OrderState.CONFIRMED, OrderState.CONFIRMED]);
});

test("a request that is repeated orders once; with other content it is refused", async () => {
  const request = { ...order("prod-espresso"), requestId: "story-once" };
  const first = await shop.orders.placeOrder(request);
  const second = await shop.orders.placeOrder(request);
  expect(second.order?.orderId).toBe(first.order?.orderId);

  const other = await shop.orders
    .placeOrder({ ...request, paymentToken: "tok_slow" })
    .catch((error) => error);
  expect(other).toMatchObject({ code: Code.AlreadyExists });
  expect(reasonOf(other)).toMatchObject({ reason: "REQUEST_ID_REUSED" });
});

test("an order can be cancelled while it is being paid, and then holds nothing", async () => {
  const before = await stockOf("prod-grinder");
  const { order: placed } = await shop.orders.placeOrder(order("prod-grinder", "tok_slow"));
  const orderId = placed?.orderId ?? "";
  // Reserved: the provider now takes its three seconds.
  await eventually(async () => expect(await stockOf("prod-grinder")).toBe(before - 1));
  await shop.orders.cancelOrder({ orderId, reason: "changed my mind" });
  expect(await finalState(orderId)).toMatchObject({
    state: OrderState.CANCELLED,
    cancelReason: "changed my mind",
  });
  expect(await stockOf("prod-grinder")).toBe(before);
  await eventually(async () => {
    const { payment } = await shop.payments.getPayment({ orderId });
    expect(payment?.state).toBe(PaymentState.VOIDED);
  });
});

test("the buyer, and only a buyer, may review, and the product's rating follows", async () => {
  const review = { productId: "prod-grinder", customerId: "cust-grace", rating: 4, title: "Even grounds" };
  const refused = await shop.reviews.createReview(review).catch((error) => error);
  expect(reasonOf(refused)).toMatchObject({ reason: "NOT_A_BUYER", domain: "shop.review.v1" });

  await shop.orders.placeOrder({ ...order("prod-grinder", "tok_ok", "cust-grace"), wait: WAIT });
  await eventually(() => shop.reviews.createReview(review));
  await eventually(async () => {
    const { product } = await shop.products.getProduct({ productId: "prod-grinder" });
    expect(product?.rating).toMatchObject({ average: 4, count: 1 });
  });
  const page = await shop.reviews.getReviewedProduct({ productId: "prod-grinder" });
  expect(page).toMatchObject({ product: { productId: "prod-grinder" }, rating: { average: 4, count: 1 } });
  expect(page.reviews.map(({ title }) => title)).toEqual(["Even grounds"]);
});

test("what is paid back shows on the order", async () => {
  const { order: placed } = await shop.orders.placeOrder({ ...order("prod-espresso"), wait: WAIT });
  const orderId = placed?.orderId ?? "";
  const amount = { currencyCode: "EUR", units: 5n, nanos: 0 };
  await shop.payments.refundPayment({ orderId, amount, requestId: "story-refund" });
  await eventually(async () => {
    const { order: read } = await shop.orders.getOrder({ orderId });
    expect(read?.refunded).toMatchObject({ units: 5n });
  });
});

test("sign-in gives a token that the published keys verify", async () => {
  const { accessToken } = await shop.customers.signIn({ email: "ada@example.com", password: "ada-demo" });
  const { createRemoteJWKSet, jwtVerify } = await import("jose");
  const keys = createRemoteJWKSet(new URL(`http://${shop.system.address("customer")}/.well-known/jwks.json`));
  const { payload } = await jwtVerify(accessToken, keys);
  expect(payload.sub).toBe("cust-ada");

  const wrong = await shop.customers
    .signIn({ email: "ada@example.com", password: "wrong" })
    .catch((error) => error);
  expect(wrong).toMatchObject({ code: Code.Unauthenticated });
});

test.each(["order-1", "product-1", "payment-1", "customer-1", "review-1"])(
  "orders that are placed while %s is killed end all the same, and no piece is lost",
  async (victim) => {
    const productId = `prod-kill-${victim}`;
    const price = { currencyCode: "EUR", units: 1n, nanos: 0 };
    await shop.products.createProduct({ product: { productId, name: victim, price, availableStock: 1_000 } });

    const accepted: string[] = [];
    const place = async (n: number) => {
      const request = {
        ...order(productId, n % 5 === 0 ? "tok_declined" : "tok_ok"),
        requestId: `${victim}-${n}`,
      };
      try {
        // The same request id: whatever became of the first attempt, it is ordered once.
        const { order } = await eventually(() => shop.orders.placeOrder(request), 30_000);
        accepted.push(order?.orderId ?? "");
      } catch (error) {
        if (!(error instanceof ConnectError)) throw error;
      }
    };
    const half = Promise.all(Array.from({ length: 10 }, (_, n) => place(n)));
    shop.system.kill(victim, "SIGKILL");
    await Promise.all([half, ...Array.from({ length: 10 }, (_, n) => place(n + 10))]);

    expect(accepted).toHaveLength(20);
    const ended = await Promise.all(accepted.map(finalState));
    const confirmed = ended.filter(({ state }) => state === OrderState.CONFIRMED).length;
    const rejected = ended.filter(({ state }) => state === OrderState.REJECTED).length;
    expect({ confirmed, rejected }).toEqual({ confirmed: 16, rejected: 4 });
    await eventually(async () => expect(await stockOf(productId)).toBe(1_000 - confirmed));
  },
  120_000,
);

test("without NATS orders are still confirmed, and the right to review catches up", async () => {
  const review = {
    productId: "prod-espresso",
    customerId: "cust-ops",
    rating: 5,
    title: "For the night shift",
  };
  await shop.system.halt("nats");
  const { order: placed } = await shop.orders.placeOrder({
    ...order("prod-espresso", "tok_ok", "cust-ops"),
    wait: WAIT,
  });
  expect(placed?.state).toBe(OrderState.CONFIRMED);
  await eventually(async () => {
    const refused = await shop.reviews.createReview(review).catch((error) => error);
    expect(reasonOf(refused)).toMatchObject({ reason: "NOT_A_BUYER" });
  });

  await shop.system.resume("nats");
  await eventually(() => shop.reviews.createReview(review), 30_000);
}, 60_000);

test("without PostgreSQL for a moment nothing accepted is lost", async () => {
  const { order: placed } = await shop.orders.placeOrder(order("prod-espresso"));
  await shop.system.halt("postgres");
  const away = await shop.orders.getOrder({ orderId: placed?.orderId ?? "" }).catch((error) => error);
  expect(away).toMatchObject({ code: Code.Unavailable });
  await shop.system.resume("postgres");
  expect((await finalState(placed?.orderId ?? "")).state).toBe(OrderState.CONFIRMED);
}, 120_000);
