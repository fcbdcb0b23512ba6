import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { beforeEach, describe, expect, test } from "vitest";
import { CustomerError, CustomerErrorSchema } from "../../gen/shop/customer/v1/customer_error_pb.ts";
import { CustomerService } from "../../gen/shop/customer/v1/customer_service_pb.ts";
import {
  OrderCancelledSchema,
  OrderConfirmedSchema,
  OrderPlacedSchema,
  OrderRejectedSchema,
} from "../../gen/shop/order/v1/order_event_pb.ts";
import { OrderState } from "../../gen/shop/order/v1/order_pb.ts";
import { OrderService, PlaceOrderRequestSchema } from "../../gen/shop/order/v1/order_service_pb.ts";
import { PaymentError, PaymentErrorSchema } from "../../gen/shop/payment/v1/payment_error_pb.ts";
import { PaymentRefundedSchema } from "../../gen/shop/payment/v1/payment_event_pb.ts";
import { PaymentService } from "../../gen/shop/payment/v1/payment_service_pb.ts";
import { ProductError, ProductErrorSchema } from "../../gen/shop/product/v1/product_error_pb.ts";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { refusals } from "../../mesh/contract/reasons.ts";
import { published } from "../../mesh/testing/published.ts";
import { handled, testPublisher } from "../../mesh/testing/publisher.ts";
import { refusalOf } from "../../mesh/testing/refusal.ts";
import { testServer } from "../../mesh/testing/server.ts";
import { testService } from "../../mesh/testing/service.ts";
import { startApp } from "./app.ts";
import { readSettings } from "./config.ts";

/** What the participants do about an order, and what they were asked. */
interface Script {
  reserve: () => Promise<object>;
  authorize: () => Promise<object>;
  isProductAway: boolean;
  readonly asked: string[];
}

const script: Script = {
  reserve: async () => ({}),
  authorize: async () => ({}),
  isProductAway: false,
  asked: [],
};
beforeEach(() => {
  Object.assign(script, { reserve: async () => ({}), authorize: async () => ({}), isProductAway: false });
  script.asked.length = 0;
});

const asked =
  (what: string, answer: () => Promise<object> = async () => ({})) =>
  ({ orderId }: { orderId: string }) => {
    script.asked.push(`${what} ${orderId}`);
    return answer();
  };
const refuseByProduct = refusals<ProductError>(ProductErrorSchema);
const refuseByPayment = refusals<PaymentError>(PaymentErrorSchema);
const refuseByCustomer = refusals<CustomerError>(CustomerErrorSchema);

const product = await testServer(ProductService, {
  batchGetProducts({ productIds }) {
    if (script.isProductAway) throw new ConnectError("away", Code.Unavailable);
    const unknown = productIds.find((id) => id === "nothing");
    if (unknown) {
      throw refuseByProduct(ProductError.PRODUCT_NOT_FOUND, "unknown", { metadata: { product_id: unknown } });
    }
    const price = { currencyCode: "EUR", units: 2n, nanos: 500_000_000 };
    return { products: productIds.map((productId) => ({ productId, price })) };
  },
  reserveStock: asked("reserve", () => script.reserve()),
  commitStock: asked("commit"),
  releaseStock: asked("release"),
});
const payment = await testServer(PaymentService, {
  authorizePayment: asked("authorize", () => script.authorize()),
  capturePayment: asked("capture"),
  voidPayment: asked("void"),
});
const customer = await testServer(CustomerService, {
  getCustomer({ customerId }) {
    if (customerId === "nobody") throw refuseByCustomer(CustomerError.CUSTOMER_NOT_FOUND, "unknown");
    return {};
  },
});

const { client, sql } = await testService({
  contract: OrderService,
  readSettings,
  start: startApp,
  env: {
    PRODUCT_TARGET: `static:///${product.address}`,
    PAYMENT_TARGET: `static:///${payment.address}`,
    CUSTOMER_TARGET: `static:///${customer.address}`,
  },
});
const domain = "shop.order.v1";
const wait = { seconds: 20n, nanos: 0 };

const wanted = (more: object = {}) =>
  create(PlaceOrderRequestSchema, {
    customerId: "cust-ada",
    lines: [
      { productId: "beans", quantity: 2 },
      { productId: "cup", quantity: 1 },
    ],
    paymentToken: "tok_ok",
    ...more,
  });

const EVENTS = [OrderPlacedSchema, OrderConfirmedSchema, OrderRejectedSchema, OrderCancelledSchema];
const events = async (orderId: string) =>
  (await published(sql, EVENTS, orderId)).map((event) => event.$typeName.split(".").at(-1));
const askedOf = (orderId: string) =>
  script.asked.filter((each) => each.endsWith(orderId)).map((each) => each.split(" ")[0]);

async function place(more: object = {}): Promise<string> {
  const { order } = await client.placeOrder(wanted(more));
  return order?.orderId ?? "";
}

/** An answer that the test gives when it wants. */
function held() {
  const { promise, resolve } = Promise.withResolvers<object>();
  return { answer: () => promise, let: () => resolve({}) };
}

describe("PlaceOrder", () => {
  test("answers PENDING with today's prices, and the order is CONFIRMED step by step", async () => {
    const { order } = await client.placeOrder(wanted());
    expect(order).toMatchObject({
      customerId: "cust-ada",
      state: OrderState.PENDING,
      total: { currencyCode: "EUR", units: 7n, nanos: 500_000_000 },
      lines: [{ unitPrice: { units: 2n } }, { quantity: 1 }],
    });
    const orderId = order?.orderId ?? "";
    const seen: (OrderState | undefined)[] = [];
    for await (const { order: now } of client.watchOrder({ orderId })) seen.push(now?.state);
    expect(seen.at(-1)).toBe(OrderState.CONFIRMED);
    expect(new Set(seen).size).toBe(seen.length);
    expect(askedOf(orderId)).toEqual(["reserve", "authorize", "commit", "capture"]);
    expect(await events(orderId)).toEqual(["OrderPlaced", "OrderConfirmed"]);
  });

  test("waits as long as its caller wants, and no longer", async () => {
    const later = held();
    script.authorize = later.answer;
    const { order: pending } = await client.placeOrder(wanted({ wait: { seconds: 0n, nanos: 20_000_000 } }));
    expect(pending?.state).toBe(OrderState.PENDING);
    const watching = client.watchOrder({ orderId: pending?.orderId ?? "" });
    later.let();
    let last: OrderState | undefined;
    for await (const { order } of watching) last = order?.state;
    expect(last).toBe(OrderState.CONFIRMED);
  });

  test("out of stock it is REJECTED, and everything is released", async () => {
    script.reserve = async () => {
      throw refuseByProduct(ProductError.OUT_OF_STOCK, "none left");
    };
    const { order } = await client.placeOrder(wanted({ wait }));
    expect(order).toMatchObject({ state: OrderState.REJECTED, rejectionReason: "OUT_OF_STOCK" });
    expect(askedOf(order?.orderId ?? "")).toEqual(["reserve", "void", "release"]);
    expect(await events(order?.orderId ?? "")).toEqual(["OrderPlaced", "OrderRejected"]);
  });

  test.each([
    [PaymentError.PAYMENT_DECLINED, "PAYMENT_DECLINED"],
    [PaymentError.UNKNOWN_TOKEN, "PAYMENT_DECLINED"],
    [PaymentError.PAYMENT_DIFFERS, "REFUSED"],
  ])(
    "a payment refused for reason %i is REJECTED as %s, and undone in reverse",
    async (reason, rejectionReason) => {
      script.authorize = async () => {
        throw refuseByPayment(reason, "no");
      };
      const { order } = await client.placeOrder(wanted({ wait }));
      expect(order).toMatchObject({ state: OrderState.REJECTED, rejectionReason });
      expect(askedOf(order?.orderId ?? "")).toEqual(["reserve", "authorize", "void", "release"]);
    },
  );

  test("a participant without an answer is asked again", async () => {
    let attempts = 0;
    script.reserve = async () => {
      if (++attempts < 3) throw new ConnectError("away", Code.Unavailable);
      return {};
    };
    const { order } = await client.placeOrder(wanted({ wait }));
    expect(order?.state).toBe(OrderState.CONFIRMED);
    expect(askedOf(order?.orderId ?? "").filter((what) => what === "reserve")).toHaveLength(3);
  });

  test("refuses unknown customers and products, and lines that cannot be", async () => {
    const notFound = (reason: string) => ({ code: "NotFound", reason, domain });
    expect(await refusalOf(client.placeOrder(wanted({ customerId: "nobody" })))).toEqual(
      notFound("CUSTOMER_NOT_FOUND"),
    );
    const lines = [{ productId: "nothing", quantity: 1 }];
    expect(await refusalOf(client.placeOrder(wanted({ lines })))).toEqual(notFound("PRODUCT_NOT_FOUND"));
    const invalid = { code: "InvalidArgument", reason: "INVALID_REQUEST", domain: "mesh.weft" };
    const line = { productId: "beans", quantity: 1 };
    expect(await refusalOf(client.placeOrder(wanted({ lines: [line, line] })))).toEqual({
      ...invalid,
      fields: ["lines"],
    });
    expect(
      await refusalOf(client.placeOrder(wanted({ lines: [{ ...line, quantity: 0 }], paymentToken: "" }))),
    ).toEqual({ ...invalid, fields: ["lines[0].quantity", "payment_token"] });
    expect(await refusalOf(client.placeOrder(wanted({ wait: { seconds: 31n } })))).toEqual({
      ...invalid,
      fields: ["wait"],
    });
  });

  test("orders once under a request id, also when product is away by then, and refuses other content", async () => {
    const requestId = randomUUID();
    const request = wanted({ requestId });
    const both = await Promise.all([client.placeOrder(request), client.placeOrder(request)]);
    expect(both[1]).toEqual(both[0]);
    script.isProductAway = true;
    expect(await client.placeOrder(request)).toEqual(both[0]);
    const waited = await client.placeOrder(wanted({ requestId, wait }));
    expect(waited.order).toMatchObject({ orderId: both[0].order?.orderId, state: OrderState.CONFIRMED });
    expect(await refusalOf(client.placeOrder({ ...request, paymentToken: "tok_slow" }))).toEqual({
      code: "AlreadyExists",
      reason: "REQUEST_ID_REUSED",
      domain: "mesh.weft",
    });
    expect(await refusalOf(client.placeOrder(wanted()))).toMatchObject({
      code: "Unavailable",
      reason: "DEPENDENCY_UNAVAILABLE",
    });
  });

  test("the request id of another customer is another request", async () => {
    const requestId = randomUUID();
    const [ada, grace] = [await place({ requestId }), await place({ requestId, customerId: "cust-grace" })];
    expect(grace).not.toBe(ada);
  });

  test("forgets the payment token once the order is final", async () => {
    const orderId = await place({ wait });
    expect(await sql`SELECT payment_token FROM orders WHERE order_id = ${orderId}`).toEqual([
      { payment_token: null },
    ]);
  });
});

describe("CancelOrder", () => {
  test.each(["reserve", "authorize"] as const)(
    "undoes an order that waits for %s, and may be repeated",
    async (step) => {
      const later = held();
      script[step] = later.answer;
      const orderId = await place();
      await expect.poll(() => askedOf(orderId)).toContain(step);
      const { order } = await client.cancelOrder({ orderId, reason: "changed my mind" });
      expect(order).toMatchObject({ state: OrderState.CANCELLED, cancelReason: "changed my mind" });
      later.let();
      const again = await client.cancelOrder({ orderId, reason: "again" });
      expect(again.order).toMatchObject({ state: OrderState.CANCELLED, cancelReason: "changed my mind" });
      expect(askedOf(orderId).slice(-2)).toEqual(["void", "release"]);
      expect(await events(orderId)).toEqual(["OrderPlaced", "OrderCancelled"]);
    },
  );

  test("refuses an order that is confirmed, and one that is not there", async () => {
    const orderId = await place({ wait });
    expect(await refusalOf(client.cancelOrder({ orderId }))).toEqual({
      code: "FailedPrecondition",
      reason: "ORDER_NOT_CANCELLABLE",
      domain,
    });
    expect(await refusalOf(client.cancelOrder({ orderId: "none" }))).toMatchObject({
      reason: "ORDER_NOT_FOUND",
    });
  });
});

test("unknown orders are NOT_FOUND, also to whoever watches", async () => {
  const notFound = { code: "NotFound", reason: "ORDER_NOT_FOUND", domain };
  expect(await refusalOf(client.getOrder({ orderId: "none" }))).toEqual(notFound);
  const watched = (async () => {
    for await (const _ of client.watchOrder({ orderId: "none" }));
  })();
  expect(await refusalOf(watched)).toEqual(notFound);
});

test("a customer's orders are listed newest first, page by page, each once", async () => {
  const customerId = `cust-${randomUUID()}`;
  const placed: string[] = [];
  for (let i = 0; i < 5; i++) placed.unshift(await place({ customerId }));
  const seen: string[] = [];
  for (let pageToken = "", first = true; first || pageToken; first = false) {
    const page = await client.listOrders({ customerId, pageSize: 2, pageToken });
    seen.push(...page.orders.map((order) => order.orderId));
    pageToken = page.nextPageToken;
  }
  expect(seen).toEqual(placed);
  expect((await client.listOrders({ customerId: "cust-none" })).orders).toEqual([]);
});

test("what payment has paid back shows on the order", async () => {
  const orderId = await place({ wait });
  const payments = await testPublisher(PaymentRefundedSchema);
  const refundedTotal = { currencyCode: "EUR", units: 3n, nanos: 0 };
  const seq = await payments.publish({ orderId, customerId: "cust-ada", refundedTotal });
  await handled(sql, "order__payments", PaymentRefundedSchema, { key: orderId, seq });
  expect((await client.getOrder({ orderId })).order?.refunded).toMatchObject({ units: 3n });
});
