import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { ConsumerService } from "../../gen/mesh/admin/v1/consumer_pb.ts";
import { OrderCancelledSchema } from "../../gen/shop/order/v1/order_event_pb.ts";
import { silentLog } from "../../mesh/core/log.ts";
import { canPause } from "../../mesh/events/pause-consumer.ts";
import { openNats } from "../../mesh/nats/connection.ts";
import { atEnd } from "../../mesh/testing/at-end.ts";
import { testBroker } from "../../mesh/testing/broker.ts";
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

const { connection } = await (async () => {
  const nats = openNats({ url: (await testBroker()).url, name: "test", log: silentLog });
  atEnd(() => nats.close());
  return nats.online(AbortSignal.timeout(20_000));
})();
const isOld = !canPause(connection.info?.version ?? "");
const inAnHour = () => timestampFromDate(new Date(Date.now() + 3_600_000));

test.skipIf(isOld)(
  "a consumer that is paused is given nothing until it is resumed, and says so",
  async () => {
    const { client, sql } = await testService(service);
    const consumer = "audit__orders";
    const shown = async () =>
      (await client.listConsumers({})).consumers.find(({ name }) => name === consumer);
    await until(shown);
    const time = inAnHour();
    await client.pauseConsumer({ consumer, until: time });
    expect((await shown())?.pausedUntil?.seconds).toBe(time.seconds);
    await until(async () => (await shown())?.ackPending === 0n);
    const { pending = 0n } = (await shown()) ?? {};
    await orders.publish({ orderId: "o-paused" });
    await until(async () => (await shown())?.pending === pending + 1n);
    const archived = () => sql`SELECT 1 FROM audited_event WHERE key = 'o-paused'`;
    expect(await archived()).toHaveLength(0);
    await client.resumeConsumer({ consumer });
    await until(async () => (await archived()).length === 1);
    expect((await shown())?.pausedUntil).toBeUndefined();
    expect(await refusalOf(client.pauseConsumer({ consumer: "nobody__knows", until: time }))).toMatchObject({
      reason: "CONSUMER_NOT_FOUND",
    });
  },
);

test.runIf(isOld)("a broker that cannot pause says which can", async () => {
  const { client } = await testService(service);
  const refused = { code: "FailedPrecondition", reason: "BROKER_TOO_OLD" };
  const consumer = "audit__orders";
  const pausing = until(async () => {
    const refusal = await refusalOf(client.pauseConsumer({ consumer, until: inAnHour() }));
    return refusal.code !== "Unavailable" && refusal;
  });
  expect(await pausing).toMatchObject(refused);
  expect(await refusalOf(client.resumeConsumer({ consumer }))).toMatchObject(refused);
});

test("where operators have a token, nobody else looks", async () => {
  const guarded = await testService({ ...service, env: { MESH_OPERATOR_TOKEN: "secret" } });
  expect(await refusalOf(guarded.client.listConsumers({}))).toMatchObject({ reason: "OPERATORS_ONLY" });
  const pausing = guarded.client.pauseConsumer({ consumer: "audit__orders", until: inAnHour() });
  expect(await refusalOf(pausing)).toMatchObject({ reason: "OPERATORS_ONLY" });
});
