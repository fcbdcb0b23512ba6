import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { silentLog } from "../core/log.ts";
import { DEAD_LETTERS, ensureStream } from "../events/streams.ts";
import { openNats } from "../nats/connection.ts";
import { startMetrics } from "../telemetry/metrics.ts";
import { atEnd } from "../testing/at-end.ts";
import { testBroker } from "../testing/broker.ts";
import { manualClock } from "../testing/clock.ts";
import { until } from "../testing/until.ts";
import { measureDeadLetters } from "./measure-dead-letters.ts";

const { url } = await testBroker();

test("dead letters are shown by consumer and reason, with the age of each consumer's oldest, until they are settled", async () => {
  const nats = openNats({ url, name: "test", log: silentLog });
  atEnd(() => nats.close());
  const { connection } = await nats.online(AbortSignal.timeout(20_000));
  const manager = await jetstreamManager(connection, { checkAPI: false, timeout: 20_000 });
  const metrics = startMetrics({ keepsEndpoints: false });
  const shown = (name: string) => {
    const points = metrics.read().gauges.find((gauge) => gauge.name === name)?.points ?? [];
    const names = points.map(([{ consumer, reason }, value]) => [
      [consumer, reason].filter(Boolean).join(" "),
      value,
    ]);
    return Object.fromEntries(names);
  };
  const start = async (clock = manualClock()) => {
    const measured = measureDeadLetters({ nats, meter: metrics, log: silentLog, clock });
    atEnd(() => measured.stop());
    await clock.whenSleeping(1);
    return { clock, measured };
  };

  // Where nobody has ever given up anything there is no stream of it.
  const { measured: early } = await start();
  expect(shown("mesh.dead_letter.depth")).toEqual({});
  await early.stop();

  await ensureStream(manager, DEAD_LETTERS);
  const seqs: number[] = [];
  for (const from of [
    "mail.orders.exhausted",
    "mail.orders.blocked",
    "mail.orders.blocked",
    "audit.all.permanent",
  ]) {
    const { seq } = await jetstream(connection).publish(`dlq.${from}`, "", { timeout: 20_000 });
    seqs.push(seq);
  }
  const timeOf = async (seq: number) =>
    (await manager.streams.getMessage(DEAD_LETTERS.name, { seq }))?.time.getTime() ?? 0;
  const [oldest = 0, ...others] = await Promise.all(seqs.map(timeOf));
  const { clock, measured } = await start(manualClock(new Date(oldest + 3_600_000)));
  expect(shown("mesh.dead_letter.depth")).toEqual({
    "mail__orders exhausted": 1,
    "mail__orders blocked": 2,
    "audit__all permanent": 1,
  });
  expect(shown("mesh.dead_letter.oldest_age")).toEqual({
    mail__orders: 3_600,
    audit__all: (oldest + 3_600_000 - (others.at(-1) ?? 0)) / 1_000,
  });
  clock.advance(10_000);
  expect(shown("mesh.dead_letter.oldest_age").mail__orders).toBe(3_610);

  await manager.streams.deleteMessage(DEAD_LETTERS.name, seqs[0] ?? 0);
  await manager.streams.deleteMessage(DEAD_LETTERS.name, seqs[3] ?? 0);
  clock.advance(5_000);
  await until(() => !("audit__all permanent" in shown("mesh.dead_letter.depth")));
  expect(shown("mesh.dead_letter.depth")).toEqual({ "mail__orders blocked": 2 });
  expect(shown("mesh.dead_letter.oldest_age")).toEqual({
    mail__orders: (oldest + 3_615_000 - (others[0] ?? 0)) / 1_000,
  });
  await measured.stop();
  expect(shown("mesh.dead_letter.depth")).toEqual({});
});
