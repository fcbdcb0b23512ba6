import { cpSync, rmSync } from "node:fs";
import type { JetStreamManager } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { silentLog } from "../core/log.ts";
import { transaction } from "../store/transaction.ts";
import { noMetrics, startMetrics } from "../telemetry/metrics.ts";
import { testBroker } from "../testing/broker.ts";
import { recordingLog } from "../testing/log.ts";
import { random } from "../testing/random.ts";
import { type ToyShop, toyShop } from "../testing/toy-shop.ts";
import { until } from "../testing/until.ts";
import { type Audited, auditBroker } from "./broker-loss.ts";
import { publish } from "./publish.ts";
import { DEAD_LETTERS, ensureStream, type StreamPlan } from "./streams.ts";

// One broker for all tests; each has streams of its own.
const broker = await testBroker();
const never = new AbortController().signal;

/** Puts so many more events of a few keys into the outbox. */
async function fill({ sql, contract }: ToyShop, count: number): Promise<void> {
  await transaction(sql, async (tx) => {
    for (let n = 0; n < count; n++)
      await publish(tx, contract.Moved, { toyId: `key-${n % 7}`, n, text: "x".repeat(500) });
  });
}

function untilPublished({ sql }: ToyShop, count: number): Promise<unknown> {
  return until(async () => {
    const [row] = await sql<{ count: number }[]>`
      SELECT count(*) AS count FROM outbox WHERE published_at IS NOT NULL`;
    return row?.count === count;
  });
}

const idsOf = async ({ sql, stored, contract }: ToyShop) => ({
  written: (await sql<{ event_id: string }[]>`SELECT event_id FROM outbox ORDER BY event_id`).map(
    (row) => row.event_id,
  ),
  stored: (await stored(contract.stream)).map(({ headers }) => headers["Nats-Msg-Id"]).sort(),
});

/** Keeps a copy of what the broker has on its disk now; `restore` is the crash of a machine that had written no more. */
async function snapshot() {
  const copy = `${broker.storeDir}-copy`;
  await broker.stop();
  cpSync(broker.storeDir, copy, { recursive: true });
  await broker.start();
  return {
    async restore(part = "") {
      await broker.stop(0);
      rmSync(`${broker.storeDir}${part}`, { recursive: true });
      cpSync(`${copy}${part}`, `${broker.storeDir}${part}`, { recursive: true });
      await broker.start();
    },
  };
}

const TAILS: readonly [string, (shop: ToyShop) => string][] = [
  ["whole store", () => ""],
  ["messages alone", ({ contract }) => `/$G/streams/${contract.stream}/msgs`],
];

test.each(TAILS)(
  "what a broker forgets of its %s is published again, and nothing else",
  async (_, partOf) => {
    const shop = await toyShop();
    const { log, lines } = recordingLog();
    const metrics = startMetrics({ keepsEndpoints: false });
    shop.relay(shop.plan, { log, meter: metrics });
    await fill(shop, 300);
    await untilPublished(shop, 300);
    const { restore } = await snapshot();
    await fill(shop, 200);
    await untilPublished(shop, 500);
    await restore(partOf(shop));
    await fill(shop, 1);
    await until(async () => (await idsOf(shop)).stored.length >= 501);
    const { written, stored } = await idsOf(shop);
    expect(stored).toEqual(written);
    const counted = metrics.read().counters.find(({ name }) => name === "mesh.outbox.broker_loss");
    expect(counted?.points).toEqual([[{ stream: shop.contract.stream }, 200]]);
    expect(lines.filter(({ level }) => level >= 50)).toMatchObject([{ lost: 200, lostFrom: 301 }]);
  },
);

test("a broker that has lost its whole store gets all events again, each naming the one before it", async () => {
  const shop = await toyShop();
  shop.relay();
  shop.consume();
  await fill(shop, 300);
  await shop.untilEffects(300);
  await broker.stop(0);
  rmSync(broker.storeDir, { recursive: true });
  await broker.start();
  await until(async () => (await idsOf(shop).catch(() => undefined))?.stored.length === 300);
  const { written, stored } = await idsOf(shop);
  expect(stored).toEqual(written);
  for (const key of ["key-0", "key-6"]) {
    const ofKey = (await shop.stored(shop.contract.stream)).filter(
      ({ headers }) => headers["ce-partitionkey"] === key,
    );
    const before = [0, ...ofKey.map(({ seq }) => seq)].slice(0, -1).map(String);
    expect(ofKey.map(({ headers }) => headers["ce-prevseq"])).toEqual(before);
  }
  // Whoever has handled them does not handle them again.
  await fill(shop, 7);
  await shop.untilEffects(307);
  expect(await shop.sql`SELECT event_id FROM effect GROUP BY event_id HAVING count(*) > 1`).toEqual([]);
});

test("without the audit, what a broker forgets stays lost", async () => {
  const shop = await toyShop();
  const audit = async (): Promise<Audited> => ({ lost: 0, lastSeq: 0 });
  shop.relay(shop.plan, { audit });
  await fill(shop, 10);
  await untilPublished(shop, 10);
  await broker.stop(0);
  rmSync(broker.storeDir, { recursive: true });
  await broker.start();
  await fill(shop, 1);
  await untilPublished(shop, 11);
  const { written, stored } = await idsOf(shop);
  expect([written.length, stored.length]).toEqual([11, 1]);
});

/** Makes the stream anew as if the broker had lost its end: with these messages, an id each, and nothing else. */
async function rebuild(shop: ToyShop, plan: StreamPlan, ids: readonly string[]): Promise<void> {
  const manager = await shop.manager();
  await manager.streams.delete(plan.name).catch(() => {});
  await ensureStream(manager, plan);
  const subject = (plan.subjects[0] as string).replace(">", "x");
  const client = manager.jetstream();
  for (const msgID of ids) await client.publish(subject, "", { msgID });
}

/** Puts rows into the outbox that were published under these sequences. */
async function published({ sql }: ToyShop, { name }: StreamPlan, rows: readonly Row[]): Promise<void> {
  for (const { id, seq } of rows)
    await sql`
      INSERT INTO outbox (event_id, stream, subject, type, headers, payload, published_at, stream_seq)
      VALUES (${id}, ${name}, 'x', 'x', '{}', '', now(), ${seq})`;
}

interface Row {
  readonly id: string;
  readonly seq: number;
}

async function audited(shop: ToyShop, stream: StreamPlan, asking?: JetStreamManager) {
  const { sql } = shop;
  const manager = asking ?? (await shop.manager());
  const { lost, lastSeq } = await auditBroker(
    { sql, manager, stream, log: silentLog, meter: noMetrics },
    never,
  );
  const rows = await sql<{ event_id: string }[]>`
    SELECT event_id FROM outbox WHERE stream = ${stream.name} AND published_at IS NULL ORDER BY id`;
  return { lost, lastSeq, pending: rows.map(({ event_id }) => event_id) };
}

const newIds = (count: number) => Array.from({ length: count }, () => crypto.randomUUID());

test("the loss begins where it begins, wherever that is, among the messages of others", async () => {
  const shop = await toyShop();
  const chances = random(5);
  const ids = newIds(60);
  const rows = ids.map((id, at) => ({ id, seq: at + 1 })).filter(() => chances.chance(0.5));
  for (const kept of [0, 1, 7, 31, 58, 59, 60]) {
    await shop.sql`TRUNCATE outbox`;
    await published(shop, shop.plan, rows);
    // Others have sent more since then, so that sequences are used again.
    const others = newIds(chances.chance(0.5) ? 100 : 0);
    await rebuild(shop, shop.plan, [...ids.slice(0, kept), ...others]);
    const gone = rows.filter(({ seq }) => seq > kept).map(({ id }) => id);
    const lastSeq = kept + others.length;
    expect(await audited(shop, shop.plan)).toEqual({ lost: gone.length, lastSeq, pending: gone });
    // It finds no more the next time.
    expect(await audited(shop, shop.plan)).toMatchObject({ lost: 0, pending: gone });
  }
});

test("of two events with one sequence one was lost, though the stream is further on", async () => {
  const shop = await toyShop();
  const [first, lost, instead] = newIds(3) as [string, string, string];
  await published(shop, shop.plan, [
    { id: first, seq: 1 },
    { id: lost, seq: 2 },
    { id: instead, seq: 2 },
  ]);
  await rebuild(shop, shop.plan, [first, instead, ...newIds(5)]);
  expect((await audited(shop, shop.plan)).pending).toContain(lost);
});

test("what another relay publishes while the broker is asked is not lost", async () => {
  const shop = await toyShop();
  const [first, meanwhile] = newIds(2) as [string, string];
  await published(shop, shop.plan, [{ id: first, seq: 1 }]);
  await rebuild(shop, shop.plan, [first]);
  const manager = await shop.manager();
  const { streams } = manager;
  const info: typeof streams.info = async (...asked) => {
    const answer = await streams.info(...asked);
    const subject = (shop.plan.subjects[0] as string).replace(">", "x");
    const { seq } = await manager.jetstream().publish(subject, "", { msgID: meanwhile });
    await published(shop, shop.plan, [{ id: meanwhile, seq }]);
    return answer;
  };
  const asking = { ...manager, streams: Object.assign(Object.create(streams), { info }) };
  expect(await audited(shop, shop.plan, asking)).toEqual({ lost: 0, lastSeq: 1, pending: [] });
});

test("what a stream has dropped because of its age is not lost", async () => {
  const shop = await toyShop();
  const ids = newIds(10);
  await published(shop, shop.plan, [
    { id: ids[2] as string, seq: 3 },
    { id: ids[4] as string, seq: 5 },
  ]);
  await rebuild(shop, shop.plan, ids);
  const { streams } = await shop.manager();
  for (const seq of [5, 11]) {
    await streams.purge(shop.plan.name, { seq });
    expect(await audited(shop, shop.plan)).toMatchObject({ lost: 0 });
  }
});

test("a dead letter that an operator has deleted is not lost; of a wiped stream all are", async () => {
  const shop = await toyShop();
  const ids = newIds(6);
  const rows = ids.map((id, at) => ({ id, seq: at + 1 }));
  await published(shop, DEAD_LETTERS, rows);
  await rebuild(shop, DEAD_LETTERS, ids);
  const { streams } = await shop.manager();
  for (const seq of [2, 5, 6]) await streams.deleteMessage(DEAD_LETTERS.name, seq);
  expect(await audited(shop, DEAD_LETTERS)).toMatchObject({ lost: 0 });
  // Others have filled it again, and an operator has deleted of that too.
  await rebuild(shop, DEAD_LETTERS, newIds(8));
  for (const seq of [3, 6]) await streams.deleteMessage(DEAD_LETTERS.name, seq);
  expect(await audited(shop, DEAD_LETTERS)).toMatchObject({ lost: 6, pending: ids });
});

test("while a relay has nothing to do, it asks from time to time", async () => {
  const shop = await toyShop();
  shop.relay(shop.plan, { auditEveryMs: 50 });
  await fill(shop, 20);
  await untilPublished(shop, 20);
  const ids = (await shop.stored(shop.contract.stream)).map(({ headers }) => headers["Nats-Msg-Id"] ?? "");
  await rebuild(shop, shop.plan, ids.slice(0, 15));
  await until(async () => (await shop.stored(shop.contract.stream)).length === 20);
});

test("a sequence that comes a second time says at once that the broker has lost events", async () => {
  const shop = await toyShop();
  // No audit of its own accord while the connection stands.
  shop.relay(shop.plan, { auditEveryMs: Number.POSITIVE_INFINITY });
  await fill(shop, 20);
  await untilPublished(shop, 20);
  const ids = (await shop.stored(shop.contract.stream)).map(({ headers }) => headers["Nats-Msg-Id"] ?? "");
  await rebuild(shop, shop.plan, ids.slice(0, 15));
  await fill(shop, 3);
  await until(async () => (await shop.stored(shop.contract.stream)).length >= 23);
  await untilPublished(shop, 23);
  const { written, stored } = await idsOf(shop);
  expect(stored).toEqual(written);
});
