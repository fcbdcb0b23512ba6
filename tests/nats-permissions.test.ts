import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DiscardPolicy, type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { expect, inject, test } from "vitest";
import { ConsumerService } from "../gen/mesh/admin/v1/consumer_pb.ts";
import { DeadLetterService } from "../gen/mesh/admin/v1/dead_letter_pb.ts";
import { AuditService } from "../gen/shop/audit/v1/audit_service_pb.ts";
import { CustomerService } from "../gen/shop/customer/v1/customer_service_pb.ts";
import { NotificationService } from "../gen/shop/notification/v1/notification_service_pb.ts";
import { OrderState } from "../gen/shop/order/v1/order_pb.ts";
import { OrderService } from "../gen/shop/order/v1/order_service_pb.ts";
import { PaymentService } from "../gen/shop/payment/v1/payment_service_pb.ts";
import { ProductService } from "../gen/shop/product/v1/product_service_pb.ts";
import { ReviewService } from "../gen/shop/review/v1/review_service_pb.ts";
import { StorefrontService } from "../gen/shop/storefront/v1/storefront_service_pb.ts";
import type { Env } from "../mesh/core/config.ts";
import { silentLog } from "../mesh/core/log.ts";
import { listConsumers } from "../mesh/events/list-consumers.ts";
import { canPause } from "../mesh/events/pause-consumer.ts";
import { openNats } from "../mesh/nats/connection.ts";
import { meshClient } from "../mesh/rpc/client/client.ts";
import { dataPlaneOf } from "../mesh/rpc/data-planes.ts";
import { atEnd } from "../mesh/testing/at-end.ts";
import { testService } from "../mesh/testing/service.ts";
import { until } from "../mesh/testing/until.ts";
import { startApp as startAudit } from "../services/audit/app.ts";
import { readSettings as readAuditSettings } from "../services/audit/config.ts";
import { startApp as startCustomer } from "../services/customer/app.ts";
import { readSettings as readCustomerSettings } from "../services/customer/config.ts";
import { startApp as startGateway } from "../services/gateway/app.ts";
import { readSettings as readGatewaySettings } from "../services/gateway/config.ts";
import { startApp as startNotification } from "../services/notification/app.ts";
import { readSettings as readNotificationSettings } from "../services/notification/config.ts";
import { startApp as startOrder } from "../services/order/app.ts";
import { readSettings as readOrderSettings } from "../services/order/config.ts";
import { startApp as startPayment } from "../services/payment/app.ts";
import { readSettings as readPaymentSettings } from "../services/payment/config.ts";
import { startApp as startProduct } from "../services/product/app.ts";
import { readSettings as readProductSettings } from "../services/product/config.ts";
import { startApp as startReview } from "../services/review/app.ts";
import { readSettings as readReviewSettings } from "../services/review/config.ts";
import { shopPermissions } from "../tools/contracts/nats-permissions.ts";
import { outputOf } from "../tools/local/executables.ts";
import { startMailSink } from "../tools/local/mail-sink.ts";
import { startNats } from "../tools/local/nats-server.ts";
import { freePort } from "../tools/local/ports.ts";

const PASSWORD = "of-a-test";
const permissions = (await shopPermissions()).replaceAll(/\$[A-Z]+_NATS_PASSWORD/g, PASSWORD);

/** Starts a broker that lets every service do what its contract gives it, and no more. */
async function startEnforcing(settings = "") {
  const dataDir = mkdtempSync(join(inject("testDir"), "nats-"));
  const configFile = join(dataDir, "permissions.conf");
  writeFileSync(configFile, `${permissions}${settings}`);
  const port = await freePort();
  const storeDir = join(dataDir, "store");
  const broker = await startNats({
    binary: inject("natsServer"),
    dataDir: storeDir,
    port,
    configFile,
    log: () => {},
  });
  atEnd(async () => {
    await broker.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });
  return {
    port,
    as: (user: string) => ({ NATS_URL: `nats://${user}:${PASSWORD}@127.0.0.1:${port}` }),
    refusals: () =>
      readFileSync(join(storeDir, "server.log"), "utf8")
        .split("\n")
        .filter((line) => line.includes("Violation")),
  };
}

type Enforcing = Awaited<ReturnType<typeof startEnforcing>>;

const SMALL = 2 ** 20;

const { port, as, refusals } = await startEnforcing();
const [, minor = 0] = (
  /v(\d+\.\d+)/.exec((await outputOf(inject("natsServer"), ["--version"])) ?? "")?.[1] ?? ""
)
  .split(".")
  .map(Number);

/** What the broker says of something that one of its users tries. */
async function refusalOf(user: string, act: (connection: Awaited<ReturnType<typeof connect>>) => void) {
  const connection = await connect({ servers: `127.0.0.1:${port}`, user, pass: PASSWORD });
  try {
    const refused = (async () => {
      for await (const { type, error } of connection.status() as AsyncIterable<{
        type: string;
        error?: Error;
      }>)
        if (type === "error") return error?.message;
      return undefined;
    })();
    act(connection);
    return await refused;
  } finally {
    await connection.close();
  }
}

/** Starts every service, each as a user of its own at this broker. */
async function startShop(as: (user: string) => Env) {
  const sink = await startMailSink({
    smtpPort: 0,
    pagePort: 0,
    file: join(inject("testDir"), "mails.jsonl"),
  });
  atEnd(() => sink.stop());
  const found = (...names: string[]) =>
    Object.fromEntries(names.map((name) => [`${name.toUpperCase()}_TARGET`, `nats:///${name}`]));
  const [customer, product, payment, notification, order, review, audit, gateway] = await Promise.all([
    testService({
      contract: CustomerService,
      readSettings: readCustomerSettings,
      start: startCustomer,
      env: as("customer"),
    }),
    testService({
      contract: ProductService,
      readSettings: readProductSettings,
      start: startProduct,
      env: { ...as("product"), SEED: "demo", RESTOCK_STEP_MS: "1" },
    }),
    testService({
      contract: PaymentService,
      readSettings: readPaymentSettings,
      start: startPayment,
      env: as("payment"),
    }),
    testService({
      contract: NotificationService,
      readSettings: readNotificationSettings,
      start: startNotification,
      env: { ...as("notification"), SMTP_URL: sink.smtpUrl },
    }),
    testService({
      contract: OrderService,
      readSettings: readOrderSettings,
      start: startOrder,
      env: { ...as("order"), ...found("customer", "product", "payment") },
    }),
    testService({
      contract: ReviewService,
      readSettings: readReviewSettings,
      start: startReview,
      env: { ...as("review"), ...found("product") },
    }),
    testService({
      contract: AuditService,
      readSettings: readAuditSettings,
      start: startAudit,
      env: as("audit"),
    }),
    testService({
      contract: StorefrontService,
      readSettings: readGatewaySettings,
      start: startGateway,
      env: {
        ...as("gateway"),
        ...found("customer", "product", "payment", "notification", "order", "review", "audit"),
      },
    }),
  ]);
  return { customer, product, payment, notification, order, review, audit, gateway };
}

// Acknowledgements name domain and account, too: what a later release of nats-server does, 2.14 does when asked.
const NEWER_ACKS = "feature_flags { js_ack_fc_v2: true }\n";

test.each([
  ["as it comes", ""],
  ...(minor >= 14 ? [["whose acknowledgements name the account", NEWER_ACKS]] : []),
])(
  "with what its contract gives it at a broker %s, each service does all that it does, and asks for nothing more",
  async (_, settings) => {
    const enforcing = await startEnforcing(settings);
    // Left by an earlier deployment, with less room than the contracts say.
    const asProduct = await managerOf(enforcing, "product");
    await asProduct.streams.add({ name: "EVT_PRODUCT", subjects: ["evt.product.>"], max_bytes: SMALL });
    await asProduct.streams.add({
      name: "DLQ",
      subjects: ["dlq.>"],
      discard: DiscardPolicy.New,
      max_bytes: SMALL,
    });
    const shop = await startShop(enforcing.as);
    const { customer, product, payment, order, review, audit, gateway } = shop;

    const created = await customer.client.createCustomer({
      email: "ada@example.com",
      displayName: "Ada",
      password: "of-a-test",
    });
    const customerId = created.customer?.customerId ?? "";
    const placed = await until(() =>
      order.client
        .placeOrder({
          customerId,
          // There are five of them: with one less the product sends itself a command to get more.
          lines: [{ productId: "prod-grinder", quantity: 1 }],
          paymentToken: "tok_ok",
          requestId: "once",
          wait: { seconds: 20n },
        })
        .catch(() => false as const),
    );
    const orderId = placed.order?.orderId ?? "";
    await until(async () => {
      const { order: seen } = await order.client.getOrder({ orderId });
      return seen?.state === OrderState.CONFIRMED;
    });
    await until(() =>
      review.client
        .createReview({ productId: "prod-grinder", customerId, rating: 5 })
        .catch(() => false as const),
    );
    await until(async () => {
      const { product: found } = await product.client.getProduct({ productId: "prod-grinder" });
      return found?.rating?.count === 1 && found.availableStock > 5;
    });
    await payment.client.refundPayment({ orderId, amount: { currencyCode: "EUR", units: 1n } });
    await until(async () => {
      const reviewed = await review.client.getReviewedProduct({ productId: "prod-grinder" });
      return reviewed.product?.name !== undefined && reviewed.product.name !== "";
    });
    await until(async () => (await fetch(`${gateway.httpUrl}/v1/products/prod-grinder`)).ok);

    const every = [
      "shop.customer.v1.CustomerRegistered",
      "shop.notification.v1.NotificationSent",
      "shop.notification.v1.SendNotification",
      "shop.order.v1.OrderConfirmed",
      "shop.payment.v1.PaymentRefunded",
      "shop.product.v1.RestockProduct",
      "shop.product.v1.StockLow",
      "shop.review.v1.ReviewPosted",
    ];
    await until(async () => {
      const { events } = await audit.client.listEvents({ pageSize: 100 });
      const types = new Set(events.map(({ type }) => type));
      return every.every((type) => types.has(type));
    });
    for (const name of ["EVT_PRODUCT", "DLQ"])
      await until(async () => (await asProduct.streams.info(name)).config.max_bytes > SMALL);
    // Nobody waits for an answer that the broker did not take.
    expect(await untilNothingWaits(enforcing)).toBeGreaterThan(15);
    await Promise.all(Object.values(shop).map((service) => service.stop()));
    expect(enforcing.refusals()).toEqual([]);
  },
  90_000,
);

/** What a service may ask JetStream, as its user at this broker. */
async function managerOf({ as }: Enforcing, user: string): Promise<JetStreamManager> {
  const nats = openNats({
    url: as(user).NATS_URL,
    name: "test",
    inboxPrefix: `_INBOX_${user}`,
    log: silentLog,
  });
  atEnd(() => nats.close());
  const { connection } = await nats.online(AbortSignal.timeout(20_000));
  return jetstreamManager(connection, { checkAPI: false, timeout: 20_000 });
}

/** Resolves with the number of durable consumers when each has been answered all that it was given. */
async function untilNothingWaits({ as }: Enforcing): Promise<number> {
  const nats = openNats({
    url: as("audit").NATS_URL,
    name: "test",
    inboxPrefix: "_INBOX_audit",
    log: silentLog,
  });
  atEnd(() => nats.close());
  const signal = AbortSignal.timeout(60_000);
  const online = await nats.online(signal);
  return until(async () => {
    const consumers = await Array.fromAsync(listConsumers(online, signal));
    return consumers.every((each) => each.num_ack_pending + each.num_pending === 0) && consumers.length;
  });
}

test("audit may show and settle the dead letters of all, and look at their consumers", async () => {
  const audit = await testService({
    contract: DeadLetterService,
    readSettings: readAuditSettings,
    start: startAudit,
    env: as("audit"),
  });
  const connection = await connect({
    servers: `127.0.0.1:${port}`,
    user: "review",
    pass: PASSWORD,
    inboxPrefix: "_INBOX_review",
  });
  const version = connection.info?.version ?? "";
  try {
    await until(async () =>
      jetstream(connection)
        .publish("dlq.review.buyers.exhausted", "x")
        .then(() => true)
        .catch(() => false),
    );
  } finally {
    await connection.close();
  }
  const { letters } = await audit.client.listDeadLetters({ filter: { consumer: "review" } });
  expect(letters).toHaveLength(1);
  const selection = { letters: { case: "all", value: true } } as const;
  const told = await Array.fromAsync(audit.client.replayDeadLetters({ selection, operator: "ada" }));
  expect(told.at(-1)?.progress).toMatchObject({ done: 1n, isComplete: true });
  const { records } = await audit.client.listDeadLetterRecords({ operator: "ada" });
  expect(records).toHaveLength(1);
  const way = dataPlaneOf().grpc(
    { host: "127.0.0.1", port: Number(new URL(audit.httpUrl).port) },
    { interceptors: [], maxMessageBytes: 2 ** 20 },
  );
  const client = meshClient(ConsumerService, way);
  const consumer = "audit__reviews__replay";
  await until(async () => {
    const { consumers } = await client.listConsumers({});
    return consumers.some(({ name }) => name === consumer);
  });
  // An older broker is not even asked.
  if (canPause(version)) await client.resumeConsumer({ consumer });
  way.close();
  await audit.stop();
  expect(refusals()).toEqual([]);
});

test.each([
  ["review", "publish another's event", "evt.product.v1.p00.ProductCreated"],
  ["review", "send a command that is not its to send", "cmd.notification.v1.p00.SendNotification"],
  ["customer", "send another's command to itself", "cmd.product.v1.p00.RestockProduct"],
  ["review", "publish a dead letter of another", "dlq.product.ratings.exhausted"],
  ["review", "have a dead letter come again, not even its own", "replay.review.buyers.p00"],
  ["review", "write the records of operators", "dlqaudit.discard"],
  ["review", "take a dead letter out", "$JS.API.STREAM.MSG.DELETE.DLQ"],
  ["review", "change a stream that all share", "$JS.API.STREAM.UPDATE.DLQ"],
  ["review", "change another's stream", "$JS.API.STREAM.UPDATE.EVT_PRODUCT"],
  ["review", "empty its own stream", "$JS.API.STREAM.PURGE.EVT_REVIEW"],
  ["review", "delete another's consumer", "$JS.API.CONSUMER.DELETE.EVT_REVIEW.product__ratings"],
  ["review", "acknowledge for another", "$JS.ACK.EVT_REVIEW.product__ratings.1.1.1.1.0"],
  ["review", "acknowledge for another, by account", "$JS.ACK._.hash.EVT_REVIEW.product__ratings.1.1.1.1.0.x"],
  ["review", "say that it is another", "$KV.weft_registry.product.x"],
  ["gateway", "publish any event", "evt.order.v1.p00.OrderPlaced"],
])("%s cannot %s: %s", async (user, _, subject) => {
  const refused = await refusalOf(user, (connection) => connection.publish(subject, "forged"));
  expect(refused).toMatch(/permissions violation for publish/i);
});

test.each([
  ["what is answered to another", "_INBOX_product.>"],
  ["events, but by its consumer", "evt.>"],
  ["dead letters", "dlq.>"],
])("a service cannot listen to %s: %s", async (_, subject) => {
  const refused = await refusalOf("review", (connection) => void connection.subscribe(subject));
  expect(refused).toMatch(/permissions violation for subscription/i);
});

test("the sender of a command may send it", async () => {
  const connection = await connect({
    servers: `127.0.0.1:${port}`,
    user: "customer",
    pass: PASSWORD,
    inboxPrefix: "_INBOX_customer",
  });
  const before = refusals();
  connection.publish("cmd.notification.v1.p00.SendNotification", "");
  await connection.flush();
  await connection.close();
  expect(refusals()).toEqual(before);
});
