import { expect, test } from "vitest";
import { streamContract } from "../contract/event.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { silentLog } from "../core/log.ts";
import { transaction } from "../store/transaction.ts";
import { startMetrics } from "../telemetry/metrics.ts";
import { atEnd } from "../testing/at-end.ts";
import { testBroker } from "../testing/broker.ts";
import { type StoredMessage, type ToyShop, toyShop } from "../testing/toy-shop.ts";
import { until } from "../testing/until.ts";
import { encodeHeader } from "./envelope.ts";
import { publish } from "./publish.ts";
import { startRelay } from "./relay.ts";
import { DEAD_LETTERS, eventStream } from "./streams.ts";

// One broker for all tests; each has streams of its own.
const broker = await testBroker();

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

/** Puts events of these keys into the outbox, by turns, as one batch. */
function fill({ sql, contract }: ToyShop, keys: readonly string[], from: number, to: number): Promise<void> {
  return transaction(sql, async (tx) => {
    for (let n = from; n <= to; n++) {
      for (const key of keys) await publish(tx, contract.Moved, { toyId: key, n, text: "" });
    }
  });
}

/** Resolves when nothing waits in the outbox but what is quarantined, and what waits behind that. */
function untilPublished({ sql }: ToyShop, count: number): Promise<unknown> {
  return until(async () => {
    const [row] = await sql<{ count: number }[]>`
      SELECT count(*) AS count FROM outbox WHERE published_at IS NOT NULL`;
    return row?.count === count;
  });
}

const header = (name: string) => (message: StoredMessage) => message.headers[name];
const ofKey = (messages: readonly StoredMessage[], key: string) =>
  messages.filter((message) => message.headers["ce-partitionkey"] === key);

/** What must be true of the messages of one key, however they came into the stream. */
function expectInOrder(messages: readonly StoredMessage[], count: number): void {
  expect(messages.map(header("ce-keyseq"))).toEqual(upTo(count).map(String));
  const before = ["0", ...messages.map(({ seq }) => String(seq))];
  expect(messages.map(header("ce-prevseq"))).toEqual(before.slice(0, -1));
}

test("all events of the outbox come into the stream, each key's in order, each naming the one before it", async () => {
  const shop = await toyShop();
  const keys = ["a", "b", "c", "d", "e"];
  await fill(shop, keys, 1, 3);
  shop.relay();
  await untilPublished(shop, 15);
  // And those that come later know what was published before.
  await fill(shop, keys, 4, 6);
  await untilPublished(shop, 30);
  const messages = await shop.stored(shop.contract.stream);
  expect(messages).toHaveLength(30);
  for (const key of keys) expectInOrder(ofKey(messages, key), 6);
  const rows = await shop.sql`SELECT event_id, stream_seq, subject FROM outbox ORDER BY stream_seq`;
  expect(rows.map((row) => [row.event_id, row.stream_seq, row.subject])).toEqual(
    messages.map((message) => [message.headers["Nats-Msg-Id"], message.seq, message.subject]),
  );
  expect(messages.map(header("ce-id"))).toEqual(messages.map(header("Nats-Msg-Id")));
});

test("an event whose predecessor was pruned says so", async () => {
  const shop = await toyShop();
  const first = shop.relay();
  await fill(shop, ["a"], 1, 2);
  await untilPublished(shop, 2);
  // It knows without the rows where it has just published them.
  await first.stop();
  await shop.sql`DELETE FROM outbox`;
  shop.relay();
  await fill(shop, ["a"], 3, 3);
  await untilPublished(shop, 1);
  const messages = await shop.stored(shop.contract.stream);
  expect(messages.map(header("ce-prevseq"))).toEqual(["0", "1", "pruned"]);
});

test("the time of an event is when it was put into the outbox", async () => {
  const shop = await toyShop();
  await fill(shop, ["a"], 1, 1);
  shop.relay();
  await untilPublished(shop, 1);
  const [row] = await shop.sql<{ created_at: Date }[]>`SELECT created_at FROM outbox`;
  expect((await shop.stored(shop.contract.stream)).map(header("ce-time"))).toEqual([
    row?.created_at.toISOString(),
  ]);
});

test("while the broker dies again and again no event is lost, and none overtakes another of its key", async () => {
  const shop = await toyShop();
  const keys = upTo(40).map((n) => `key-${n}`);
  shop.relay();
  await shop.move("first", 1);
  await untilPublished(shop, 1);
  for (const round of [1, 2, 3]) {
    await fill(shop, keys, round * 3 - 2, round * 3);
    await until(async () => {
      const [row] = await shop.sql<{ count: number }[]>`
        SELECT count(*) AS count FROM outbox WHERE published_at IS NOT NULL`;
      return (row?.count ?? 0) > (round - 1) * 120 + 1;
    });
    broker.kill("SIGKILL");
  }
  // Published after the last death, so that the broker is there to be asked.
  await shop.move("last", 1);
  await untilPublished(shop, 362);
  const messages = await shop.stored(shop.contract.stream);
  const ids = await shop.sql<{ event_id: string }[]>`SELECT event_id FROM outbox ORDER BY event_id`;
  expect(messages.map(header("ce-id")).sort()).toEqual(ids.map((row) => row.event_id));
  for (const key of keys) expectInOrder(ofKey(messages, key), 9);
});

test("an event that is stored, though its relay did not learn so, is published again and stored once", async () => {
  const shop = await toyShop();
  const first = shop.relay();
  await fill(shop, ["a"], 1, 3);
  await untilPublished(shop, 3);
  await first.stop();
  await shop.sql`UPDATE outbox SET published_at = NULL, stream_seq = NULL WHERE key_seq > 1`;
  shop.relay();
  await untilPublished(shop, 3);
  expectInOrder(await shop.stored(shop.contract.stream), 3);
  const rows = await shop.sql`SELECT stream_seq FROM outbox ORDER BY id`;
  expect(rows.map((row) => row.stream_seq)).toEqual([1, 2, 3]);
});

test("of two relays one leads; when it stops the other goes on", async () => {
  const shop = await toyShop();
  const leaders = () => shop.sql<{ pid: number }[]>`
    SELECT a.pid FROM pg_stat_activity a JOIN pg_locks l USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database()
      AND a.application_name = ${`leader relay ${shop.contract.stream}`}`;
  const first = shop.relay();
  await until(async () => (await leaders()).length === 1);
  const [before] = await leaders();
  shop.relay();
  await fill(shop, ["a"], 1, 5);
  await untilPublished(shop, 5);
  expect(await leaders()).toEqual([before]);
  await first.stop();
  await fill(shop, ["a"], 6, 10);
  await untilPublished(shop, 10);
  const [after] = await leaders();
  expect(after?.pid).not.toBe(before?.pid);
  expectInOrder(await shop.stored(shop.contract.stream), 10);
});

test("a relay whose session is ended leads again, and nothing is lost", async () => {
  const shop = await toyShop();
  shop.relay();
  await fill(shop, ["a"], 1, 2);
  await untilPublished(shop, 2);
  await shop.sql`
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = ${`leader relay ${shop.contract.stream}`}`;
  await fill(shop, ["a"], 3, 4);
  await untilPublished(shop, 4);
  expectInOrder(await shop.stored(shop.contract.stream), 4);
});

test("an event that no broker takes is set aside with its key, and the other keys go on", async () => {
  const shop = await toyShop();
  const texts = { "too large for the stream": 600, "too large for the connection": 1_100, "no header": 0 };
  for (const [key, kib] of Object.entries(texts)) {
    await shop.move(key, 1);
    await shop.move(key, 2, "x".repeat(kib * 1_024));
    await shop.move(key, 3);
  }
  await shop.sql`
    UPDATE outbox SET headers = headers || '{"x-bad": "two\\r\\nlines"}' WHERE key = 'no header' AND key_seq = 2`;
  await fill(shop, ["small", "other"], 1, 5);
  shop.relay();
  await untilPublished(shop, 13);
  const failed = await until(async () => {
    const rows = await shop.sql`
      SELECT key, key_seq, attempts, error FROM outbox WHERE failed_at IS NOT NULL ORDER BY id`;
    return rows.length === 3 && rows;
  });
  expect(failed).toMatchObject([
    { key: "too large for the stream", key_seq: 2, attempts: 10, error: expect.stringMatching(/size/) },
    { key: "too large for the connection", key_seq: 2, attempts: 10, error: expect.stringMatching(/size/) },
    { key: "no header", key_seq: 2, attempts: 10 },
  ]);
  await fill(shop, ["small"], 6, 7);
  await untilPublished(shop, 15);
  const messages = await shop.stored(shop.contract.stream);
  expectInOrder(ofKey(messages, "small"), 7);
  expectInOrder(ofKey(messages, "other"), 5);
  for (const key of Object.keys(texts))
    expect(messages.filter((m) => m.headers["ce-partitionkey"] === encodeHeader(key))).toHaveLength(1);
});

test("what is in the outbox while the broker is away is published when it comes", async () => {
  const shop = await toyShop();
  await broker.stop();
  shop.relay();
  await fill(shop, ["a", "b"], 1, 3);
  await broker.start();
  await untilPublished(shop, 6);
  const messages = await shop.stored(shop.contract.stream);
  for (const key of ["a", "b"]) expectInOrder(ofKey(messages, key), 3);
});

test("an event whose headers no broker takes is set aside, and the others go on", async () => {
  const shop = await toyShop();
  await shop.move("bad", 1);
  await shop.sql`UPDATE outbox SET headers = headers || '{"x-bad": "two\\r\\nlines"}'`;
  await fill(shop, ["a"], 1, 2);
  shop.relay();
  await untilPublished(shop, 2);
  await until(async () => (await shop.sql`SELECT 1 FROM outbox WHERE failed_at IS NOT NULL`).length > 0);
  expectInOrder(await shop.stored(shop.contract.stream), 2);
});

test("a dead letter carries the headers that were written for it, as they stand", async () => {
  const shop = await toyShop();
  const headers = {
    "ce-time": "2001-01-01T00:00:00.000Z",
    "ce-keyseq": "9",
    "ce-prevseq": "77",
    "x-y": "%20",
  };
  const subject = `dlq.${shop.contract.aggregate}.moves.permanent`;
  await shop.sql`
    INSERT INTO outbox (event_id, stream, subject, type, headers, payload)
    VALUES (gen_random_uuid(), 'DLQ', ${subject}, 'test', ${JSON.stringify(headers)}::text::jsonb, 'abc')`;
  shop.relay(DEAD_LETTERS);
  const [letter] = await shop.deadLetters(1);
  expect(letter?.headers).toMatchObject(headers);
});

test("stopping a relay that cannot reach the broker takes no longer than that", async () => {
  const shop = await toyShop();
  const relay = shop.relay();
  await shop.move("a", 1);
  await untilPublished(shop, 1);
  await broker.stop();
  await shop.move("a", 2);
  await relay.stop();
  await broker.start();
});

test("a relay that the broker keeps refusing waits longer and longer", async () => {
  const shop = await toyShop();
  const { contract, sql, databaseUrl, nats } = shop;
  await fill(shop, ["a"], 1, 5);
  // Room for one event, and none is dropped for the next.
  const full = {
    ...eventStream(streamContract(contract.Moved)),
    maxBytes: 1_500,
    whenFull: "refuseNew",
  } as const;
  const sleepsMs: number[] = [];
  const clock: Clock = {
    ...systemClock,
    sleep(delayMs, signal) {
      sleepsMs.push(delayMs);
      return systemClock.sleep(Math.min(delayMs, 1), signal);
    },
  };
  const relay = startRelay({ sql, databaseUrl, nats, stream: full, log: silentLog, clock });
  atEnd(() => relay.stop());
  // Nothing else in it sleeps for more than a second.
  await until(async () => sleepsMs.some((ms) => ms > 1_000));
  expect(await shop.stored(contract.stream)).not.toHaveLength(5);
});

test("a relay tells what it has published, how late, what was refused, and whether it leads", async () => {
  const shop = await toyShop();
  const metrics = startMetrics({ keepsEndpoints: false });
  const stream = shop.contract.stream;
  await shop.move("bad", 1);
  await shop.sql`UPDATE outbox SET headers = headers || '{"x-bad": "two\\r\\nlines"}'`;
  await fill(shop, ["a"], 1, 3);
  const relay = shop.relay(shop.plan, { meter: metrics });
  const pointsOf = (name: string) => {
    const { counters, gauges } = metrics.read();
    return [...counters, ...gauges].find((reading) => reading.name === name)?.points ?? [];
  };
  await until(() => pointsOf("mesh.outbox.published")[0]?.[1] === 3);
  expect(pointsOf("mesh.outbox.publish.failures")).toEqual([
    [{ stream, class: "refused" }, expect.any(Number)],
  ]);
  expect(pointsOf("mesh.outbox.leader")).toEqual([[{ stream }, 1]]);
  expect(metrics.read().histograms).toMatchObject([
    { name: "mesh.outbox.publish.latency", points: [[{ stream }, { count: 3 }]] },
  ]);
  await relay.stop();
  expect(metrics.read().gauges.flatMap(({ points }) => points)).toEqual([]);
});
