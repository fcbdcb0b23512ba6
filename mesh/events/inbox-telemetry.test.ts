import { expect, test } from "vitest";
import { PermanentError } from "../core/errors.ts";
import { startMetrics } from "../telemetry/metrics.ts";
import { testBroker } from "../testing/broker.ts";
import { toyHeaders, toyPayload } from "../testing/toy-messages.ts";
import { type ToyShop, toyShop } from "../testing/toy-shop.ts";
import { until } from "../testing/until.ts";
import { DEAD_LETTERS } from "./streams.ts";

await testBroker();

async function send(shop: ToyShop, key: string, keySeq: number, eventId?: string): Promise<void> {
  const { contract } = shop;
  const toy = { key, keySeq, seq: keySeq, prevSeq: keySeq - 1, ...(eventId && { eventId }) };
  const subject = `evt.${contract.aggregate}.v1.p00.Moved`;
  await shop.send(subject, toyHeaders(contract, toy), toyPayload(contract, toy));
}

test("what becomes of the messages of a consumer is counted, and its state is shown", async () => {
  const shop = await toyShop();
  const metrics = startMetrics({ keepsEndpoints: false });
  const { consumer, Moved } = shop.contract;
  /** The values of an instrument, by what tells them apart beside the consumer. */
  const read = (name: string) => {
    const { counters, gauges, histograms } = metrics.read();
    const found = [...counters, ...gauges, ...histograms].find((each) => each.name === name);
    const points = found?.points.map(([{ consumer: of, ...others }, value]) => {
      expect(of).toBe(consumer);
      return [Object.values(others).join(), typeof value === "number" ? value : value.count] as const;
    });
    return Object.fromEntries(points ?? []);
  };

  shop.relay();
  shop.relay(DEAD_LETTERS);
  const { streams } = await shop.manager();
  await until(() => streams.info(shop.contract.stream).catch(() => undefined));
  // Ahead of its turn: it waits until those before it are there.
  await send(shop, "late", 3);
  const failsOnce = new Set([2]);
  const running = shop.consume(
    async (_tx, { toyId, n }) => {
      if (toyId === "late" && failsOnce.delete(n)) throw new Error("not now");
      if (toyId === "bad") throw new PermanentError("never");
    },
    { meter: metrics },
  );
  await until(() => read("mesh.inbox.gaps")[""] !== undefined);
  expect(read("mesh.inbox.gap.oldest_age")[""]).toBeGreaterThan(0);
  await send(shop, "late", 1);
  await send(shop, "late", 1);
  await send(shop, "late", 2);
  for (const n of [1, 2]) await send(shop, "bad", n);
  await shop.untilEffects(3);
  await shop.deadLetters(2);
  await shop.untilConsumed();

  expect(read("mesh.inbox.gap.oldest_age")).toEqual({ "": 0 });
  expect(read("mesh.inbox.duplicates")).toEqual({ "": 1 });
  expect(read("mesh.inbox.dead_letters")).toEqual({ permanent: 1, blocked: 1 });
  expect(read("mesh.handler.failures")).toEqual({ transient: 1 });
  expect(read("mesh.handler.duration")).toEqual({ [Moved.typeName]: 5 });
  expect(read("mesh.consumer.lag")).toEqual({ "": 3 });
  expect(read("mesh.handler.inflight")).toEqual({ "": 0 });
  expect(read("mesh.consumer.breaker_open")).toEqual({ "": 0 });
  await until(() => read("mesh.consumer.pending")[""] !== undefined);
  await running.stop();
  // Who has stopped shows nothing.
  for (const name of ["mesh.handler.inflight", "mesh.consumer.breaker_open", "mesh.consumer.pending"])
    expect(read(name)).toEqual({});
});

test("the number of parked keys is asked of the database, and the broker's counts of the broker", async () => {
  const shop = await toyShop();
  shop.relay();
  const { streams } = await shop.manager();
  await until(() => streams.info(shop.contract.stream).catch(() => undefined));
  await shop.sql`
    INSERT INTO inbox_cursor (consumer, stream, key, last_seq, parked_until)
    VALUES (${shop.contract.consumer}, 'EVT_TOY', 'a', 1, 4), (${shop.contract.consumer}, 'EVT_TOY', 'b', 4, 4),
           ('other__moves', 'EVT_TOY', 'c', 1, 4)`;
  const metrics = startMetrics({ keepsEndpoints: false });
  shop.consume(undefined, { meter: metrics });
  const value = (name: string) => metrics.read().gauges.find((each) => each.name === name)?.points[0]?.[1];
  await until(() => value("mesh.inbox.parked_keys") !== undefined);
  expect(value("mesh.inbox.parked_keys")).toBe(1);
});
