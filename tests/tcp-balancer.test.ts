import { afterAll, expect, test } from "vitest";
import { addressOf } from "../mesh/discovery/target.ts";
import { tcpBalancer } from "../mesh/testing/tcp-balancer.ts";
import { until } from "../mesh/testing/until.ts";
import { answered, openShop } from "./shop.ts";

const balancer = await tcpBalancer();
const shop = await openShop({
  PRODUCT_TARGET: `static:///${addressOf(balancer.endpoint)}`,
  PRODUCT_TRANSPORT: "grpc",
  MESH_MAX_CONNECTION_AGE_MS: "300",
});
const [first, second] = shop.system.instances.filter(({ service }) => service === "product");

const BATCH = "shop.product.v1.ProductService/BatchGetProducts";
const GET = "shop.product.v1.ProductService/GetProduct";
const ENOUGH = 5;
// So many connections that each of the two clients has had some thirty, each to whose turn it was.
const MANY = 120;
const LEAST_SHARE = 0.2;
const PAUSE_MS = 10;

/** Calls again and again, by way of order and of review, until the end. */
function callers() {
  const failed: unknown[] = [];
  let isOver = false;
  let mostConnections = 0;
  const repeat = async (call: () => Promise<unknown>) => {
    while (!isOver) {
      await call().catch((error) => failed.push(error));
      mostConnections = Math.max(mostConnections, balancer.connections());
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  };
  const line = { productId: "prod-espresso", quantity: 1 };
  const order = { customerId: "cust-ada", lines: [line], paymentToken: "tok_ok" };
  const running = Promise.all([
    repeat(() => shop.orders.placeOrder(order)),
    repeat(() => shop.reviews.getReviewedProduct({ productId: "prod-espresso" })),
  ]);
  const stop = async () => {
    isOver = true;
    await running;
    return { failed, mostConnections };
  };
  afterAll(stop);
  return { stop };
}

test("behind a balancer of connections an instance that joins later gets calls as connections age, and none fails", async () => {
  if (!first || !second) throw new Error("the shop has two products");
  const isServing = async (instance: typeof first, method: string) =>
    (await answered(instance, method)) >= ENOUGH;
  balancer.add({ host: "127.0.0.1", port: first.port });
  const calling = callers();
  await until(() => isServing(first, BATCH));
  expect(await answered(second, BATCH)).toBe(0);

  balancer.add({ host: "127.0.0.1", port: second.port });
  await until(() => isServing(second, BATCH));
  // Callers do not change over to the new one for good: from now on each has its share.
  const counts = () => Promise.all([answered(first, BATCH), answered(second, BATCH)]);
  const [before, passedOnBefore] = [await counts(), balancer.passedOn()];
  await until(() => balancer.passedOn() >= passedOnBefore + MANY);
  const now = await counts();
  const [one, other] = [now[0] - before[0], now[1] - before[1]];
  expect(Math.min(one, other) / (one + other)).toBeGreaterThan(LEAST_SHARE);
  await until(async () => (await answered(first, GET)) > 0 && (await answered(second, GET)) > 0);

  const { failed, mostConnections } = await calling.stop();
  expect(failed).toEqual([]);
  // Two clients; each has one, and while it changes over the one before, and one on which it watches health.
  expect(mostConnections).toBeGreaterThanOrEqual(2);
  expect(mostConnections).toBeLessThanOrEqual(6);
}, 120_000);
