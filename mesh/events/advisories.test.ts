import { AckPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { nanos } from "@nats-io/nats-core";
import { expect, test } from "vitest";
import { silentLog } from "../core/log.ts";
import { openNats } from "../nats/connection.ts";
import { startMetrics } from "../telemetry/metrics.ts";
import { atEnd } from "../testing/at-end.ts";
import { testBroker } from "../testing/broker.ts";
import { recordingLog } from "../testing/log.ts";
import { until } from "../testing/until.ts";
import { followAdvisories, readAdvisory } from "./advisories.ts";
import { ADVISORIES } from "./streams.ts";

const { url } = await testBroker();
const ADVISORY = "$JS.EVENT.ADVISORY";

test("what the broker says by itself is kept, logged and counted, once among all instances", async () => {
  const nats = openNats({ url, name: "test", log: silentLog });
  atEnd(() => nats.close());
  const { connection } = await nats.online(AbortSignal.timeout(20_000));
  const manager = await jetstreamManager(connection, { checkAPI: false, timeout: 20_000 });
  const metrics = startMetrics({ keepsEndpoints: false });
  const { log, lines } = recordingLog();
  const follow = () => {
    const running = followAdvisories({ nats, service: "audit", meter: metrics, log });
    atEnd(() => running.stop());
  };
  follow();
  follow();
  await until(() => manager.consumers.info(ADVISORIES.name, "audit__advisories").catch(() => undefined));

  await manager.streams.add({ name: "EVT_TOY", subjects: ["evt.toy.>"] });
  const durable = (name: string) =>
    manager.consumers.add("EVT_TOY", {
      durable_name: name,
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(30_000),
      max_deliver: 1,
    });
  await durable("toy__moves");
  await durable("reader");
  for (const n of [1, 2]) await jetstream(connection).publish("evt.toy.v1", String(n), { timeout: 20_000 });
  const moves = await jetstream(connection).consumers.get("EVT_TOY", "toy__moves");
  const [first, second] = [await moves.next(), await moves.next()];
  first?.nak();
  second?.term();
  const told = () =>
    lines
      .filter(({ msg }) => msg === "the broker says")
      .map(({ kind, stream, consumer }) => [kind, stream, consumer].filter(Boolean).join(" "));
  // The broker notices that it may not deliver a message again when somebody asks for one, who waits for it in vain.
  const asking = moves.next().catch(() => null);
  await until(() => told().includes("max_deliveries EVT_TOY toy__moves"));
  await manager.consumers.delete("EVT_TOY", "reader");
  await manager.consumers.delete("EVT_TOY", "toy__moves");
  await asking;
  await manager.streams.delete("EVT_TOY");

  const all = [
    "consumer_deleted EVT_TOY toy__moves",
    "max_deliveries EVT_TOY toy__moves",
    "stream_deleted EVT_TOY",
    "terminated EVT_TOY toy__moves",
  ];
  await until(() => all.every((each) => told().includes(each)));
  await until(
    async () => (await manager.consumers.info(ADVISORIES.name, "audit__advisories")).num_ack_pending === 0,
  );
  expect(told().sort()).toEqual(all);
  const counted = metrics.read().counters.find(({ name }) => name === "mesh.broker.advisory")?.points ?? [];
  expect(
    counted
      .map(([{ kind, stream, consumer }, count]) => [kind, stream, consumer, count].filter(Boolean).join(" "))
      .sort(),
  ).toEqual(all.map((each) => `${each} 1`));
  // Kept with all that the broker says of it, the reader's end too.
  const kept = await manager.streams.getMessage(ADVISORIES.name, {
    last_by_subj: `${ADVISORY}.CONSUMER.MAX_DELIVERIES.EVT_TOY.toy__moves`,
  });
  expect(kept?.json()).toMatchObject({
    stream: "EVT_TOY",
    consumer: "toy__moves",
    stream_seq: 1,
    deliveries: 1,
  });
  expect(
    await manager.streams.getMessage(ADVISORIES.name, {
      last_by_subj: `${ADVISORY}.CONSUMER.DELETED.EVT_TOY.reader`,
    }),
  ).not.toBeNull();
});

test("an advisory is read from its subject; what is about no subscription's consumer is none", () => {
  expect(readAdvisory(`${ADVISORY}.STREAM.DELETED.DLQ`)).toEqual({ kind: "stream_deleted", stream: "DLQ" });
  expect(readAdvisory(`${ADVISORY}.CONSUMER.DELETED.EVT_TOY.toy__moves`)).toEqual({
    kind: "consumer_deleted",
    stream: "EVT_TOY",
    consumer: "toy__moves",
  });
  expect(readAdvisory(`${ADVISORY}.CONSUMER.DELETED.KV_weft_registry.oc_1`)).toBeUndefined();
  expect(readAdvisory(`${ADVISORY}.STREAM.CREATED.EVT_TOY`)).toBeUndefined();
});
