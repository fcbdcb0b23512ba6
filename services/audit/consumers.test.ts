import { expect, test } from "vitest";
import { ConsumerService } from "../../gen/mesh/admin/v1/consumer_pb.ts";
import { OrderCancelledSchema } from "../../gen/shop/order/v1/order_event_pb.ts";
import { testPublisher } from "../../mesh/testing/publisher.ts";
import { refusalOf } from "../../mesh/testing/refusal.ts";
import { testService } from "../../mesh/testing/service.ts";
import { until } from "../../mesh/testing/until.ts";
import { startApp } from "./app.ts";
import { readSettings } from "./config.ts";

const service = { contract: ConsumerService, readSettings, start: startApp };
const orders = await testPublisher(OrderCancelledSchema);

test("a consumer is shown with what it has still to do, by its service too", async () => {
  const { client, sql } = await testService(service);
  await orders.publish({ orderId: "o-1" });
  const archive = async (of: string) =>
    (await client.listConsumers({ service: of })).consumers.find(({ name }) => name === "audit__orders");
  const idle = { stream: "EVT_ORDER", lag: 0n, pending: 0n, ackPending: 0n, redelivered: 0n };
  // Before it comes the consumer is idle too.
  await until(async () => (await sql`SELECT 1 FROM audited_event`).length > 0);
  await until(async () => {
    const found = await archive("");
    return found?.lag === 0n && found.waiting > 0;
  });
  expect(await archive("audit")).toMatchObject(idle);
  expect(await archive("order")).toBeUndefined();
});

test("where operators have a token, nobody else looks", async () => {
  const guarded = await testService({ ...service, env: { MESH_OPERATOR_TOKEN: "secret" } });
  expect(await refusalOf(guarded.client.listConsumers({}))).toMatchObject({ reason: "OPERATORS_ONLY" });
});
