import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { expect, onTestFinished, test } from "vitest";
import { CustomerError, CustomerErrorSchema } from "../../gen/shop/customer/v1/customer_error_pb.ts";
import { CustomerService } from "../../gen/shop/customer/v1/customer_service_pb.ts";
import {
  OrderCancelledSchema,
  OrderConfirmedSchema,
  OrderPlacedSchema,
  OrderRejectedSchema,
} from "../../gen/shop/order/v1/order_event_pb.ts";
import { type Order, OrderState } from "../../gen/shop/order/v1/order_pb.ts";
import {
  OrderService,
  type PlaceOrderRequestSchema,
  type Purchase,
} from "../../gen/shop/order/v1/order_service_pb.ts";
import { PaymentError, PaymentErrorSchema } from "../../gen/shop/payment/v1/payment_error_pb.ts";
import { PaymentRefundedSchema } from "../../gen/shop/payment/v1/payment_event_pb.ts";
import { PaymentService } from "../../gen/shop/payment/v1/payment_service_pb.ts";
import { ProductError, ProductErrorSchema } from "../../gen/shop/product/v1/product_error_pb.ts";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { refusals } from "../../mesh/contract/reasons.ts";
import { newId } from "../../mesh/core/ids.ts";
import { euro } from "../../mesh/core/money.ts";
import { transaction } from "../../mesh/store/transaction.ts";
import { published } from "../../mesh/testing/published.ts";
import { handled, testPublisher } from "../../mesh/testing/publisher.ts";
import { refusalOf } from "../../mesh/testing/refusal.ts";
import { testServer } from "../../mesh/testing/server.ts";
import { testService } from "../../mesh/testing/service.ts";
import { until } from "../../mesh/testing/until.ts";
import { startApp } from "./app.ts";
import { readSettings } from "./config.ts";

// The other services, as this test file writes them.
const refuseByCustomer = refusals<CustomerError>(CustomerErrorSchema);
const refuseByProduct = refusals<ProductError>(ProductErrorSchema);
const refuseByPayment = refusals<PaymentError>(PaymentErrorSchema);
const prices: Readonly<Record<string, number>> = { "prod-cup": 1_250, "prod-mug": 999, "prod-rare": 100 };

const steps: string[] = [];
const holds = new Map<string, Promise<void>>();

/** Notes a step of an order, which ends when the test lets it. */
async function step(name: string, orderId: string): Promise<void> {
  steps.push(`${orderId} ${name}`);
  await holds.get(name);
}

/** Keeps a step from ending; returns what lets it. */
function hold(name: string): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  holds.set(name, promise);
  const release = () => {
    holds.delete(name);
    resolve();
  };
  onTestFinished(release);
  return release;
}

const customers = await testServer(CustomerService, {
  getCustomer({ customerId }) {
    if (customerId === "cust-nobody")
      throw refuseByCustomer(CustomerError.CUSTOMER_NOT_FOUND, `there is no customer ${customerId}`);
    return { customer: { customerId } };
  },
});

const products = await testServer(ProductService, {
  batchGetProducts({ productIds }) {
    const missing = productIds.find((id) => prices[id] === undefined);
    if (missing) {
      const metadata = { product_id: missing };
      throw refuseByProduct(ProductError.PRODUCT_NOT_FOUND, `there is no product ${missing}`, { metadata });
    }
    return { products: productIds.map((productId) => ({ productId, price: euro(prices[productId] ?? 0) })) };
  },
  async reserveStock({ orderId, lines }) {
    await step("reserve", orderId);
    if (lines.some(({ productId }) => productId === "prod-rare"))
      throw refuseByProduct(ProductError.OUT_OF_STOCK, "sold out");
    return {};
  },
  async commitStock({ orderId }) {
    await step("commit", orderId);
    return {};
  },
  async releaseStock({ orderId }) {
    await step("release", orderId);
    return {};
  },
});

const payments = await testServer(PaymentService, {
  async authorizePayment({ orderId, paymentToken }) {
    await step("authorize", orderId);
    if (paymentToken === "tok_declined") throw refuseByPayment(PaymentError.PAYMENT_DECLINED, "declined");
    return {};
  },
  async capturePayment({ orderId }) {
    await step("capture", orderId);
    return {};
  },
  async voidPayment({ orderId }) {
    await step("void", orderId);
    return {};
  },
});

const target = ({ address }: { address: string }) => `static:///${address}`;
const env = {
  CUSTOMER_TARGET: target(customers),
  PRODUCT_TARGET: target(products),
  PAYMENT_TARGET: target(payments),
};
const refunds = await testPublisher(PaymentRefundedSchema);
const orders = await testService({ contract: OrderService, readSettings, start: startApp, env });
const { client, sql } = orders;

const DOMAIN = "shop.order.v1";
const EVENTS = [OrderPlacedSchema, OrderConfirmedSchema, OrderRejectedSchema, OrderCancelledSchema];

function wanted(change: MessageInitShape<typeof PlaceOrderRequestSchema> = {}) {
  return {
    customerId: "cust-ada",
    lines: [{ productId: "prod-cup", quantity: 2 }],
    paymentToken: "tok_ok",
    ...change,
  };
}

const FIVE_SECONDS = { seconds: 5n };

async function place(change: MessageInitShape<typeof PlaceOrderRequestSchema> = {}): Promise<Order> {
  const { order } = await client.placeOrder(wanted(change));
  if (!order) throw new Error("no order came back");
  return order;
}

const get = async (orderId: string) => (await client.getOrder({ orderId })).order;
const untilState = (orderId: string, state: OrderState) =>
  until(async () => {
    const order = await get(orderId);
    return order?.state === state && order;
  });
const stepsOf = (orderId: string) =>
  steps.filter((line) => line.startsWith(orderId)).map((line) => line.slice(orderId.length + 1));
const eventsOf = async (orderId: string) =>
  (await published(sql, EVENTS, orderId)).map(({ $typeName }) => $typeName.replace(/.*\./, ""));

test("an order is pending at first, at the prices that the products have, and then confirmed", async () => {
  const release = hold("reserve");
  const lines = [
    { productId: "prod-cup", quantity: 2, unitPrice: euro(1) },
    { productId: "prod-mug", quantity: 3 },
  ];
  const placed = await place({ lines });
  expect(placed).toMatchObject({
    customerId: "cust-ada",
    state: OrderState.PENDING,
    total: euro(2 * 1_250 + 3 * 999),
    lines: [
      { productId: "prod-cup", quantity: 2, unitPrice: euro(1_250) },
      { productId: "prod-mug", quantity: 3, unitPrice: euro(999) },
    ],
    rejectionReason: "",
    cancelReason: "",
  });
  expect(placed.refunded).toBeUndefined();
  release();
  const confirmed = await untilState(placed.orderId, OrderState.CONFIRMED);
  expect(confirmed).toMatchObject({
    total: placed.total,
    lines: placed.lines,
    createTime: placed.createTime,
  });
  expect(stepsOf(placed.orderId)).toEqual(["reserve", "authorize", "commit", "capture"]);
  expect(await eventsOf(placed.orderId)).toEqual(["OrderPlaced", "OrderConfirmed"]);
});

test("who waits gets what became of the order", async () => {
  const confirmed = await place({ wait: FIVE_SECONDS });
  expect(confirmed.state).toBe(OrderState.CONFIRMED);

  const soldOut = await place({ wait: FIVE_SECONDS, lines: [{ productId: "prod-rare", quantity: 1 }] });
  expect(soldOut).toMatchObject({ state: OrderState.REJECTED, rejectionReason: "OUT_OF_STOCK" });

  const declined = await place({ wait: FIVE_SECONDS, paymentToken: "tok_declined" });
  expect(declined).toMatchObject({ state: OrderState.REJECTED, rejectionReason: "PAYMENT_DECLINED" });
  expect(stepsOf(declined.orderId)).toEqual(["reserve", "authorize", "void", "release"]);
  expect(await eventsOf(declined.orderId)).toEqual(["OrderPlaced", "OrderRejected"]);
});

test("who waits no longer gets the order as it is", async () => {
  hold("authorize");
  const order = await place({ wait: { nanos: 50_000_000 } });
  expect(order.state).toBe(OrderState.PENDING);
});

test("who waits for longer than the call may take gets the order as it is, in time", async () => {
  hold("authorize");
  // A machine that stands still just then lets the time pass all the same, and has to be asked again.
  const { order } = await until(() =>
    client
      .placeOrder(wanted({ wait: { seconds: 30n } }), { timeoutMs: 1_000 })
      .catch((error: { code?: number }) => {
        if (error.code === Code.DeadlineExceeded) return undefined;
        throw error;
      }),
  );
  expect(order?.state).toBe(OrderState.PENDING);
});

test("the payment token is forgotten when the order is final", async () => {
  const release = hold("capture");
  const { orderId } = await place();
  const kept = async () =>
    (await sql`SELECT payment_token FROM orders WHERE order_id = ${orderId}`)[0]?.payment_token;
  expect(await kept()).toBe("tok_ok");
  release();
  await untilState(orderId, OrderState.CONFIRMED);
  expect(await kept()).toBeNull();
});

test("an order of a customer or a product that does not exist is refused, and nothing is kept of it", async () => {
  const count = async () => (await sql`SELECT count(*) AS count FROM orders`)[0]?.count;
  const before = await count();
  expect(await refusalOf(place({ customerId: "cust-nobody" }))).toEqual({
    code: "NotFound",
    reason: "CUSTOMER_NOT_FOUND",
    domain: DOMAIN,
  });
  const lines = [
    { productId: "prod-cup", quantity: 1 },
    { productId: "prod-none", quantity: 1 },
  ];
  expect(await refusalOf(place({ lines }))).toEqual({
    code: "NotFound",
    reason: "PRODUCT_NOT_FOUND",
    domain: DOMAIN,
  });
  expect(await count()).toBe(before);
});

test("a request that breaks its contract is refused, field by field", async () => {
  const cup = { productId: "prod-cup", quantity: 1 };
  const cases: [MessageInitShape<typeof PlaceOrderRequestSchema>, string[]][] = [
    [{ lines: [cup, cup] }, ["lines"]],
    [{ lines: [] }, ["lines"]],
    [{ lines: [{ ...cup, quantity: 0 }] }, ["lines[0].quantity"]],
    [{ customerId: "", paymentToken: "" }, ["customer_id", "payment_token"]],
    [{ wait: { seconds: 31n } }, ["wait"]],
  ];
  for (const [change, fields] of cases) {
    expect(await refusalOf(place(change))).toMatchObject({ code: "InvalidArgument", fields });
  }
});

test("a repeated request gets the order that the first one made, however long it waits", async () => {
  const requestId = newId();
  const release = hold("reserve");
  const first = await client.placeOrder(wanted({ requestId }));
  release();
  const { orderId } = first.order ?? { orderId: "" };
  await untilState(orderId, OrderState.CONFIRMED);
  expect(await client.placeOrder(wanted({ requestId }))).toEqual(first);
  const waited = await place({ requestId, wait: FIVE_SECONDS });
  expect(waited).toMatchObject({ orderId, state: OrderState.CONFIRMED });
  expect(await eventsOf(orderId)).toEqual(["OrderPlaced", "OrderConfirmed"]);
});

test("of equal requests at the same time one makes an order, and all get that", async () => {
  const requestId = newId();
  const placed = await Promise.all([1, 2, 3, 4].map(() => place({ requestId })));
  expect(new Set(placed.map(({ orderId }) => orderId)).size).toBe(1);
});

test("other content under a known request id is refused; another customer's id is another", async () => {
  const requestId = newId();
  const first = await place({ requestId });
  const lines = [{ productId: "prod-cup", quantity: 3 }];
  expect(await refusalOf(place({ requestId, lines }))).toMatchObject({
    code: "AlreadyExists",
    reason: "REQUEST_ID_REUSED",
  });
  const other = await place({ requestId, lines, customerId: "cust-grace" });
  expect(other.orderId).not.toBe(first.orderId);
});

test("a repeated request is answered though no other service is there, and a new one is not", async () => {
  const requestId = newId();
  const first = await place({ requestId });
  const nowhere = "static:///127.0.0.1:1";
  const alone = await testService({
    contract: OrderService,
    readSettings,
    start: startApp,
    databaseUrl: orders.databaseUrl,
    env: { CUSTOMER_TARGET: nowhere, PRODUCT_TARGET: nowhere, PAYMENT_TARGET: nowhere },
  });
  expect((await alone.client.placeOrder(wanted({ requestId }))).order?.orderId).toBe(first.orderId);
  expect(await refusalOf(alone.client.placeOrder(wanted()))).toMatchObject({
    code: "Unavailable",
    reason: "RETRY_EXHAUSTED_DOWNSTREAM",
  });
  await alone.stop();
});

test("an order is cancelled while its stock is being reserved, and what may be reserved is released", async () => {
  const release = hold("reserve");
  const { orderId } = await place();
  await until(() => stepsOf(orderId).includes("reserve"));
  const { order } = await client.cancelOrder({ orderId, reason: "changed my mind" });
  expect(order).toMatchObject({
    state: OrderState.CANCELLED,
    cancelReason: "changed my mind",
    rejectionReason: "",
  });
  release();
  expect(stepsOf(orderId)).toEqual(["reserve", "void", "release"]);
  expect(await eventsOf(orderId)).toEqual(["OrderPlaced", "OrderCancelled"]);
  const [, cancelled] = await published(sql, EVENTS, orderId);
  expect(cancelled).toMatchObject({ reason: "changed my mind" });
});

test("an order is cancelled while its payment is being authorised", async () => {
  hold("authorize");
  const { orderId } = await place();
  await until(() => stepsOf(orderId).includes("authorize"));
  expect((await client.cancelOrder({ orderId })).order?.state).toBe(OrderState.CANCELLED);
  expect(stepsOf(orderId)).toEqual(["reserve", "authorize", "void", "release"]);
});

test("cancelling again changes nothing, also while the first has not come to its end", async () => {
  hold("reserve");
  const { orderId } = await place();
  const release = hold("void");
  const first = client.cancelOrder({ orderId, reason: "first" });
  await until(() => stepsOf(orderId).includes("void"));
  const second = client.cancelOrder({ orderId, reason: "second" });
  release();
  for (const call of [first, second, client.cancelOrder({ orderId, reason: "third" })]) {
    expect((await call).order).toMatchObject({ state: OrderState.CANCELLED, cancelReason: "first" });
  }
  expect(await eventsOf(orderId)).toEqual(["OrderPlaced", "OrderCancelled"]);
});

test("two that cancel at the same time both succeed", async () => {
  hold("reserve");
  const { orderId } = await place();
  await until(() => stepsOf(orderId).includes("reserve"));
  const calls: ReturnType<typeof client.cancelOrder>[] = [];
  // Both have looked at the order and now wait for the saga's row.
  await transaction(sql, async (tx) => {
    await tx`SELECT 1 FROM order_saga WHERE order_id = ${orderId} FOR UPDATE`;
    calls.push(client.cancelOrder({ orderId }), client.cancelOrder({ orderId }));
    await until(async () => {
      const waiting = await sql`
        SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`;
      return waiting.length === 2;
    });
  });
  for (const call of calls) expect((await call).order?.state).toBe(OrderState.CANCELLED);
});

test("an order that is being paid, or is final, cannot be cancelled", async () => {
  const release = hold("commit");
  const { orderId } = await place();
  await until(() => stepsOf(orderId).includes("commit"));
  const refusal = { code: "FailedPrecondition", reason: "ORDER_NOT_CANCELLABLE", domain: DOMAIN };
  expect(await refusalOf(client.cancelOrder({ orderId }))).toEqual(refusal);
  release();
  await untilState(orderId, OrderState.CONFIRMED);
  expect(await refusalOf(client.cancelOrder({ orderId, reason: "too late" }))).toEqual(refusal);
  expect((await get(orderId))?.cancelReason).toBe("");
  const rejected = await place({ wait: FIVE_SECONDS, paymentToken: "tok_declined" });
  expect(await refusalOf(client.cancelOrder({ orderId: rejected.orderId }))).toEqual(refusal);
});

test("who watches sees the order as it is, then its end, and then the stream ends", async () => {
  const release = hold("reserve");
  const { orderId } = await place();
  const states: (OrderState | undefined)[] = [];
  for await (const { order } of client.watchOrder({ orderId })) {
    states.push(order?.state);
    release();
  }
  expect(states).toEqual([OrderState.PENDING, OrderState.CONFIRMED]);
  const again: (OrderState | undefined)[] = [];
  for await (const { order } of client.watchOrder({ orderId })) again.push(order?.state);
  expect(again).toEqual([OrderState.CONFIRMED]);
});

test("who watches at one instance sees what another one does", async () => {
  const other = await testService({
    contract: OrderService,
    readSettings,
    start: startApp,
    databaseUrl: orders.databaseUrl,
    env,
  });
  hold("reserve");
  const { orderId } = await place();
  const states: (OrderState | undefined)[] = [];
  for await (const { order } of other.client.watchOrder({ orderId })) {
    states.push(order?.state);
    if (states.length === 1) await client.cancelOrder({ orderId });
  }
  expect([states[0], states.at(-1)]).toEqual([OrderState.PENDING, OrderState.CANCELLED]);
  await other.stop();
});

test("a customer's orders are listed newest first, page by page, and nobody else's", async () => {
  const customerId = `cust-${newId()}`;
  const ids: string[] = [];
  for (let n = 0; n < 5; n++) ids.unshift((await place({ customerId })).orderId);
  await place({ customerId: "cust-grace" });
  const seen: string[][] = [];
  let pageToken = "";
  do {
    const page = await client.listOrders({ customerId, pageSize: 2, pageToken });
    seen.push(page.orders.map(({ orderId }) => orderId));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  expect(seen).toEqual([ids.slice(0, 2), ids.slice(2, 4), ids.slice(4)]);
  expect((await client.listOrders({ customerId })).orders.map(({ orderId }) => orderId)).toEqual(ids);
  expect(await client.listOrders({ customerId: "cust-new" })).toMatchObject({
    orders: [],
    nextPageToken: "",
  });
  expect(await refusalOf(client.listOrders({ customerId, pageToken: "nonsense" }))).toMatchObject({
    code: "InvalidArgument",
    fields: ["page_token"],
  });
});

test("purchases are listed by order: what was bought if it is confirmed, and the number of the event that says so", async () => {
  const bought = await place({
    wait: FIVE_SECONDS,
    lines: [
      { productId: "prod-mug", quantity: 2 },
      { productId: "prod-cup", quantity: 1 },
    ],
  });
  const rejected = await place({ wait: FIVE_SECONDS, lines: [{ productId: "prod-rare", quantity: 1 }] });
  const letGo = hold("reserve");
  const pending = await place({ customerId: "cust-grace" });
  const all: Purchase[] = [];
  for (let pageToken = ""; ; ) {
    const page = await client.listPurchases({ pageSize: 2, pageToken });
    expect(page.purchases.length).toBeLessThanOrEqual(2);
    all.push(...page.purchases);
    pageToken = page.nextPageToken;
    if (pageToken === "") break;
  }
  letGo();
  const ids = all.map(({ orderId }) => orderId);
  expect(ids).toEqual([...new Set(ids)].sort());
  const mine = [bought, rejected, pending].map(({ orderId }) => orderId);
  expect(all.filter(({ orderId }) => mine.includes(orderId))).toMatchObject([
    { orderId: bought.orderId, customerId: "cust-ada", productIds: ["prod-mug", "prod-cup"], version: 2 },
    { orderId: rejected.orderId, customerId: "cust-ada", productIds: [], version: 2 },
    { orderId: pending.orderId, customerId: "cust-grace", productIds: [], version: 1 },
  ]);
  expect(await refusalOf(client.listPurchases({ pageToken: "nonsense" }))).toMatchObject({
    code: "InvalidArgument",
    fields: ["page_token"],
  });
});

test("an order that does not exist is not found, whatever is asked of it", async () => {
  const orderId = "order-none";
  const refusal = { code: "NotFound", reason: "ORDER_NOT_FOUND", domain: DOMAIN };
  expect(await refusalOf(client.getOrder({ orderId }))).toEqual(refusal);
  expect(await refusalOf(client.cancelOrder({ orderId }))).toEqual(refusal);
  const watch = async () => {
    for await (const _ of client.watchOrder({ orderId }));
  };
  expect(await refusalOf(watch())).toEqual(refusal);
});

test("what was paid back is shown on the order, the last word of the payment service being right", async () => {
  const { orderId } = await place({ wait: FIVE_SECONDS });
  let seq = 0;
  for (const refundedTotal of [euro(500), euro(1_200)]) {
    seq = await refunds.publish({ orderId, customerId: "cust-ada", amount: euro(1), refundedTotal });
  }
  await handled(sql, "order__payments", PaymentRefundedSchema, { key: orderId, seq });
  expect((await get(orderId))?.refunded).toMatchObject(euro(1_200));
});
