import { AckPolicy } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { startMetrics } from "../telemetry/metrics.ts";
import { testBroker } from "../testing/broker.ts";
import { manualClock } from "../testing/clock.ts";
import { type ToyShop, toyShop } from "../testing/toy-shop.ts";
import { until } from "../testing/until.ts";
import { showConsumerGauges } from "./consumer-gauges.ts";

await testBroker();

const HOUR_S = 3_600;

/** How far behind a shop's consumer is, as its gauge shows it after each look at the broker. */
async function lagOf({ nats, sql, contract }: ToyShop) {
  const { stream, consumer } = contract;
  const meter = startMetrics({ keepsEndpoints: false });
  const clock = manualClock(new Date());
  const gauges = showConsumerGauges({ nats, sql, stream, consumer, meter, clock });
  await clock.whenSleeping(1);
  const value = () => meter.read().gauges.find(({ name }) => name === "mesh.replica.lag")?.points[0]?.[1];
  return {
    value,
    async after(seconds: number) {
      clock.advance(seconds * 1_000);
      await clock.whenSleeping(1);
      return value();
    },
    stop: () => gauges.stop(),
  };
}

test("a consumer that has handled all there is, is up to date, however long ago that was", async () => {
  const shop = await toyShop();
  shop.relay();
  shop.consume();
  await shop.move("a", 1);
  await shop.untilEffects(1);
  await shop.untilConsumed();
  const lag = await lagOf(shop);
  expect(lag.value()).toBe(0);
  expect(await lag.after(HOUR_S)).toBe(0);
  await lag.stop();
  expect(lag.value()).toBeUndefined();
});

test("a consumer is behind by the age of the oldest event that it has not handled, and no longer", async () => {
  const shop = await toyShop();
  shop.relay();
  const first = shop.consume();
  await shop.move("a", 1);
  await shop.untilEffects(1);
  await shop.untilConsumed();
  await first.stop();
  for (const n of [2, 3]) await shop.move("a", n);
  await until(async () => (await shop.stored(shop.contract.stream)).length === 3);
  const lag = await lagOf(shop);
  const behind = await lag.after(HOUR_S);
  expect(behind).toBeGreaterThan(HOUR_S - 60);
  expect(behind).toBeLessThan(HOUR_S + 60);
  shop.consume();
  await shop.untilEffects(3);
  await shop.untilConsumed();
  expect(await lag.after(15)).toBe(0);
  await lag.stop();
});

test("of a consumer that has never come to its stream, the oldest event is what the stream still has", async () => {
  const shop = await toyShop();
  shop.relay();
  for (const n of [1, 2]) await shop.move("a", n);
  await until(async () => (await shop.stored(shop.contract.stream).catch(() => [])).length === 2);
  const { consumers, streams } = await shop.manager();
  await consumers.add(shop.contract.stream, {
    durable_name: shop.contract.consumer,
    ack_policy: AckPolicy.Explicit,
  });
  await streams.purge(shop.contract.stream, { seq: 2 });
  const lag = await lagOf(shop);
  expect(await lag.after(HOUR_S)).toBeGreaterThan(HOUR_S - 60);
  await lag.stop();
});
