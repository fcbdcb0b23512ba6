import { jetstreamManager } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { CustomerService } from "../gen/shop/customer/v1/customer_service_pb.ts";
import { OrderState } from "../gen/shop/order/v1/order_pb.ts";
import { OrderService } from "../gen/shop/order/v1/order_service_pb.ts";
import { PaymentService } from "../gen/shop/payment/v1/payment_service_pb.ts";
import { ProductService } from "../gen/shop/product/v1/product_service_pb.ts";
import { ReviewService } from "../gen/shop/review/v1/review_service_pb.ts";
import { silentLog } from "../mesh/core/log.ts";
import { euro, toCents } from "../mesh/core/money.ts";
import { openNats } from "../mesh/nats/connection.ts";
import { pages } from "../mesh/rpc/client/pages.ts";
import type { Sql } from "../mesh/store/connect.ts";
import { atEnd } from "../mesh/testing/at-end.ts";
import { testBroker } from "../mesh/testing/broker.ts";
import { testService } from "../mesh/testing/service.ts";
import { until } from "../mesh/testing/until.ts";
import { startApp as startCustomer } from "../services/customer/app.ts";
import { readSettings as readCustomerSettings } from "../services/customer/config.ts";
import { startApp as startOrder } from "../services/order/app.ts";
import { readSettings as readOrderSettings } from "../services/order/config.ts";
import { startApp as startPayment } from "../services/payment/app.ts";
import { readSettings as readPaymentSettings } from "../services/payment/config.ts";
import { startApp as startProduct } from "../services/product/app.ts";
import { readSettings as readProductSettings } from "../services/product/config.ts";
import { startApp as startReview } from "../services/review/app.ts";
import { readSettings as readReviewSettings } from "../services/review/config.ts";
import { nextRelease } from "./next-release.ts";

const broker = await testBroker();
const nats = openNats({ url: broker.url, name: "test", log: silentLog });
atEnd(() => nats.close());

const [customer, product, payment] = await Promise.all([
  testService({ contract: CustomerService, readSettings: readCustomerSettings, start: startCustomer }),
  testService({ contract: ProductService, readSettings: readProductSettings, start: startProduct }),
  testService({ contract: PaymentService, readSettings: readPaymentSettings, start: startPayment }),
]);
const orderOptions = {
  contract: OrderService,
  readSettings: readOrderSettings,
  start: startOrder,
  env: { CUSTOMER_TARGET: customer.target, PRODUCT_TARGET: product.target, PAYMENT_TARGET: payment.target },
};
const reviewOptions = {
  contract: ReviewService,
  readSettings: readReviewSettings,
  start: startReview,
  env: { PRODUCT_TARGET: product.target },
};
const [order, review] = await Promise.all([testService(orderOptions), testService(reviewOptions)]);

let names = 0;

async function newCustomer(): Promise<string> {
  const name = `buyer-${names++}`;
  const { customer: made } = await customer.client.createCustomer({
    email: `${name}@example.com`,
    displayName: name,
    password: "long-enough",
  });
  return made?.customerId ?? "";
}

async function newProduct(): Promise<string> {
  const made = { name: `thing-${names++}`, price: euro(100), availableStock: 1_000 };
  return (await product.client.createProduct({ product: made })).product?.productId ?? "";
}

async function buy(customerId: string, ...productIds: string[]): Promise<void> {
  const lines = productIds.map((productId) => ({ productId, quantity: 1 }));
  const wait = { seconds: 20n, nanos: 0 };
  const { order: placed } = await order.client.placeOrder({
    customerId,
    lines,
    paymentToken: "tok_ok",
    wait,
  });
  expect(placed?.state).toBe(OrderState.CONFIRMED);
}

/** Lets the stream forget all that it holds but the last message. */
async function forgetAllButTheLast(stream: string): Promise<void> {
  const { connection } = await nats.online(AbortSignal.timeout(20_000));
  const { streams } = await jetstreamManager(connection, { checkAPI: false, timeout: 20_000 });
  const { state } = await streams.info(stream);
  await streams.purge(stream, { seq: state.last_seq });
}

/** Resolves when build 2 is read, and nothing is left of build 1. */
async function untilTakenOver(sql: Sql, subscription: string, table: string): Promise<void> {
  await until(async () => {
    const [row] = await sql<
      { live: number }[]
    >`SELECT live FROM read_model WHERE subscription = ${subscription}`;
    return row?.live === 2;
  });
  await until(async () => (await sql`SELECT 1 FROM ${sql(table)} WHERE build = 1`).length === 0);
}

/** Who bought what, in a build. */
async function bought(build: number): Promise<string[]> {
  const rows = await review.sql<{ customer_id: string; product_id: string }[]>`
    SELECT customer_id, product_id FROM buyer WHERE build = ${build}`;
  return rows.map((row) => `${row.customer_id} ${row.product_id}`).sort();
}

test("who bought what is found out anew while it is read: from the stream, and from order what that has forgotten", async () => {
  const [ada, grace] = [await newCustomer(), await newCustomer()];
  const [cup, mug] = [await newProduct(), await newProduct()];
  await buy(ada, cup, mug);
  await buy(grace, cup);
  const before = [`${ada} ${cup}`, `${ada} ${mug}`, `${grace} ${cup}`].sort();
  await until(async () => (await bought(1)).length === before.length);
  expect(await bought(1)).toEqual(before);
  await forgetAllButTheLast("EVT_ORDER");
  // What is to be mended.
  await review.sql`DELETE FROM buyer WHERE customer_id = ${ada} AND product_id = ${mug}`;
  await review.sql`INSERT INTO buyer (customer_id, product_id) VALUES (${grace}, ${mug})`;

  nextRelease(ReviewService, "buyers");
  let isOver = false;
  const all = [...before];
  const buying = (async () => {
    while (!isOver) {
      const customerId = await newCustomer();
      await buy(customerId, mug);
      all.push(`${customerId} ${mug}`);
    }
  })();
  await testService({ ...reviewOptions, databaseUrl: review.databaseUrl });
  await untilTakenOver(review.sql, "buyers", "buyer");
  isOver = true;
  await buying;
  await until(async () => (await bought(2)).length >= all.length);
  expect(await bought(2)).toEqual(all.sort());
  // An instance of the release before reads the new build, too.
  await review.client.createReview({ customerId: ada, productId: mug, rating: 5 });
  const refused = review.client.createReview({ customerId: grace, productId: mug, rating: 5 });
  await expect(refused).rejects.toThrow("has not bought");
  expect(await review.sql`SELECT 1 FROM outbox WHERE stream = 'DLQ'`).toHaveLength(0);
});

test("prices and customers are found out anew while they are read: from the stream, and from their owners what that has forgotten", async () => {
  const [cup, mug, pot] = [await newProduct(), await newProduct(), await newProduct()];
  const [ada, grace] = [await newCustomer(), await newCustomer()];
  const priceOf = async (productId: string, build: number) => {
    const [row] = await order.sql<{ price_cents: number }[]>`
      SELECT price_cents FROM product_replica WHERE build = ${build} AND product_id = ${productId}`;
    return row?.price_cents;
  };
  const customers = async (build: number) => {
    const rows = await order.sql<{ customer_id: string }[]>`
      SELECT customer_id FROM customer_replica WHERE build = ${build}`;
    return rows.map((row) => row.customer_id).sort();
  };
  const setPrice = (productId: string, cents: number) =>
    product.client.updateProduct({
      product: { productId, price: euro(cents) },
      updateMask: { paths: ["price"] },
    });
  await setPrice(cup, 250);
  await setPrice(pot, 300);
  await until(async () => (await priceOf(cup, 1)) === 250 && (await priceOf(pot, 1)) === 300);
  await until(async () => {
    const found = await customers(1);
    return [ada, grace].every((id) => found.includes(id));
  });
  await forgetAllButTheLast("EVT_PRODUCT");
  await forgetAllButTheLast("EVT_CUSTOMER");
  // What is to be mended.
  await order.sql`UPDATE product_replica SET price_cents = 1`;
  await order.sql`UPDATE customer_replica SET customer_id = 'cust-wrong' WHERE customer_id = ${ada}`;

  nextRelease(OrderService, "products", "customers");
  let isOver = false;
  let last = 0;
  const changing = (async () => {
    while (!isOver) {
      await setPrice(mug, ++last);
      await newCustomer();
    }
  })();
  await testService({ ...orderOptions, databaseUrl: order.databaseUrl });
  await untilTakenOver(order.sql, "products", "product_replica");
  await untilTakenOver(order.sql, "customers", "customer_replica");
  isOver = true;
  await changing;
  const known: string[] = [];
  for await (const page of pages((pageToken) => customer.client.listCustomerIds({ pageToken })))
    known.push(...page.customers.map(({ customerId }) => customerId));
  await until(async () => (await customers(2)).length >= known.length);
  expect(await customers(2)).toEqual(known);
  await until(async () => (await priceOf(mug, 2)) === last);
  for await (const { prices } of pages((pageToken) => product.client.listPrices({ pageToken }))) {
    for (const { productId, price } of prices)
      expect(await priceOf(productId, 2)).toBe(price && toCents(price));
  }
  expect(await order.sql`SELECT 1 FROM outbox WHERE stream = 'DLQ'`).toHaveLength(0);
});
