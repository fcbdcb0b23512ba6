import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { StockRestockedSchema } from "../../gen/shop/product/v1/product_event_pb.ts";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { connect, type Sql } from "../../mesh/store/connect.ts";
import { testBroker } from "../../mesh/testing/broker.ts";
import { testService } from "../../mesh/testing/service.ts";
import { until } from "../../mesh/testing/until.ts";
import { startApp } from "./app.ts";
import { readSettings } from "./config.ts";
import { RESTOCK_QUANTITY } from "./product.ts";

// A process is started, and its steps take some seconds, so that it can be killed between them.
vi.setConfig({ testTimeout: 60_000 });

const price = { currencyCode: "EUR", units: 1n, nanos: 0 };
const service = { contract: ProductService, readSettings, start: startApp };
const natsUrl = (await testBroker()).url;

/** How often it was announced that pieces of a product came. */
async function restocked(sql: Sql, productId: string) {
  const rows = await sql<{ type: string }[]>`
    SELECT type FROM outbox WHERE key = ${productId} AND type = ${StockRestockedSchema.typeName}`;
  return rows.length;
}

test("low stock has pieces brought, once, by one of two instances", async () => {
  const env = { RESTOCK_STEP_MS: "1" };
  const { client, sql, databaseUrl } = await testService({ ...service, env });
  await testService({ ...service, env, databaseUrl });
  const productId = "prod-thing";
  await client.createProduct({ product: { productId, name: "Thing", price, availableStock: 5 } });
  await client.reserveStock({ orderId: "order-1", lines: [{ productId, quantity: 2 }] });
  await until(async () => (await restocked(sql, productId)) > 0);
  const { product } = await client.getProduct({ productId });
  expect(product?.availableStock).toBe(3 + RESTOCK_QUANTITY);
  expect(await sql`SELECT state, version FROM restock_saga`).toMatchObject([
    { state: "DELIVERED", version: 3 },
  ]);
});

/** An instance in a process of its own, which can be killed. */
function startProcess(databaseUrl: string, stepMs: number): ChildProcess {
  const child = spawn(process.execPath, [join(import.meta.dirname, "main.ts")], {
    env: {
      PATH: process.env.PATH,
      PORT: "0",
      DATABASE_URL: databaseUrl,
      NATS_URL: natsUrl,
      MESH_AUTH: "off",
      LOG_LEVEL: "error",
      INSTANCE: "product-killed",
      RESTOCK_STEP_MS: String(stepMs),
    },
    stdio: ["ignore", "ignore", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

test("a restock whose process is killed half-way is taken up where it was, and its pieces come once", async () => {
  const first = await testService({ ...service, env: { RESTOCK_STEP_MS: "10000" } });
  const { databaseUrl } = first;
  const sql = connect({ url: databaseUrl, name: "test-looker", maxConnections: 2 });
  onTestFinished(() => sql.end({ timeout: 1 }));
  const productId = "prod-other";
  await first.client.createProduct({ product: { productId, name: "Other", price, availableStock: 5 } });
  await first.client.reserveStock({ orderId: "order-2", lines: [{ productId, quantity: 1 }] });
  await first.stop();

  const stateOf = async () => (await sql<{ state: string }[]>`SELECT state FROM restock_saga`)[0]?.state;
  const killed = startProcess(databaseUrl, 4_000);
  await until(async () => (await stateOf()) === "PACKED");
  killed.kill("SIGKILL");
  await once(killed, "exit");
  expect(await stateOf()).toBe("PACKED");
  expect(await restocked(sql, productId)).toBe(0);

  const { client } = await testService({ ...service, databaseUrl, env: { RESTOCK_STEP_MS: "1" } });
  // As if the lease of the dead had run out.
  await sql`UPDATE restock_saga SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL`;
  await until(async () => (await stateOf()) === "DELIVERED");
  const { product } = await client.getProduct({ productId });
  expect(product?.availableStock).toBe(4 + RESTOCK_QUANTITY);
  expect(await restocked(sql, productId)).toBe(1);
  // Each state was entered once.
  expect(await sql`SELECT version FROM restock_saga`).toMatchObject([{ version: 3 }]);
});
