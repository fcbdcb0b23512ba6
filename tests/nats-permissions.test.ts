import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { afterAll, expect, inject, test } from "vitest";
import { ConsumerService } from "../gen/mesh/admin/v1/consumer_pb.ts";
import { DeadLetterService } from "../gen/mesh/admin/v1/dead_letter_pb.ts";
import { ProductService } from "../gen/shop/product/v1/product_service_pb.ts";
import { ReviewService } from "../gen/shop/review/v1/review_service_pb.ts";
import { meshClient } from "../mesh/rpc/client/client.ts";
import { transports } from "../mesh/rpc/client/transports.ts";
import { testService } from "../mesh/testing/service.ts";
import { until } from "../mesh/testing/until.ts";
import { startApp as startAudit } from "../services/audit/app.ts";
import { readSettings as readAuditSettings } from "../services/audit/config.ts";
import { startApp as startProduct } from "../services/product/app.ts";
import { readSettings as readProductSettings } from "../services/product/config.ts";
import { startApp as startReview } from "../services/review/app.ts";
import { readSettings as readReviewSettings } from "../services/review/config.ts";
import { shopPermissions } from "../tools/contracts/nats-permissions.ts";
import { startNats } from "../tools/local/nats-server.ts";
import { freePort } from "../tools/local/ports.ts";

const PASSWORD = "of-a-test";
const dataDir = mkdtempSync(join(inject("testDir"), "nats-"));
const configFile = join(dataDir, "permissions.conf");
writeFileSync(configFile, (await shopPermissions()).replaceAll(/\$[A-Z]+_NATS_PASSWORD/g, PASSWORD));
const port = await freePort();
const broker = await startNats({
  binary: inject("natsServer"),
  dataDir: join(dataDir, "store"),
  port,
  configFile,
  log: () => {},
});
afterAll(async () => {
  await broker.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

const as = (user: string) => ({ NATS_URL: `nats://${user}:${PASSWORD}@127.0.0.1:${port}` });
const refusals = () =>
  readFileSync(join(dataDir, "store", "server.log"), "utf8")
    .split("\n")
    .filter((line) => line.includes("Violation"));

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

test("with what its contract gives it at the broker, each service does all that it does, and asks for nothing more", async () => {
  const product = await testService({
    contract: ProductService,
    readSettings: readProductSettings,
    start: startProduct,
    env: { ...as("product"), SEED: "demo" },
  });
  const review = await testService({
    contract: ReviewService,
    readSettings: readReviewSettings,
    start: startReview,
    env: { ...as("review"), PRODUCT_TARGET: "nats:///product" },
  });
  await review.sql`INSERT INTO buyer (customer_id, product_id) VALUES ('cust-ada', 'prod-espresso')`;
  await review.client.createReview({ customerId: "cust-ada", productId: "prod-espresso", rating: 5 });
  await until(async () => {
    const { product: found } = await product.client.getProduct({ productId: "prod-espresso" });
    return found?.rating?.count === 1;
  });
  await until(async () => {
    const reviewed = await review.client.getReviewedProduct({ productId: "prod-espresso" });
    return reviewed.product?.name !== undefined && reviewed.product.name !== "";
  });
  await Promise.all([product.stop(), review.stop()]);
  expect(refusals()).toEqual([]);
});

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
  const way = transports.grpc(
    { host: "127.0.0.1", port: Number(new URL(audit.httpUrl).port) },
    { interceptors: [], maxMessageBytes: 2 ** 20 },
  );
  const { consumers } = await meshClient(ConsumerService, way).listConsumers({});
  way.close();
  expect(consumers.map(({ name }) => name)).toContain("audit__reviews");
  await audit.stop();
  expect(refusals()).toEqual([]);
});

test("a service cannot publish what another one owns, nor listen to what is answered to another one", async () => {
  const published = await refusalOf("review", (connection) =>
    connection.publish("evt.product.v1.p00.ProductCreated", "forged"),
  );
  expect(published).toMatch(/permissions violation for publish/i);
  const listened = await refusalOf("review", (connection) => void connection.subscribe("_INBOX_product.>"));
  expect(listened).toMatch(/permissions violation for subscription/i);
  const overheard = await refusalOf("review", (connection) => void connection.subscribe("evt.>"));
  expect(overheard).toMatch(/permissions violation for subscription/i);
  const acknowledged = await refusalOf("review", (connection) =>
    connection.publish("$JS.API.CONSUMER.DELETE.EVT_REVIEW.product__ratings", ""),
  );
  expect(acknowledged).toMatch(/permissions violation for publish/i);
});
