import { expect, test } from "vitest";
import { OnDead, Ordering } from "../../gen/mesh/event/v1/event_pb.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { PermanentError } from "../core/errors.ts";
import { newId } from "../core/ids.ts";
import { silentLog } from "../core/log.ts";
import { currentWork } from "../core/work.ts";
import { openNats } from "../nats/connection.ts";
import { connect } from "../store/connect.ts";
import { atEnd } from "../testing/at-end.ts";
import { testBroker } from "../testing/broker.ts";
import { tcpProxy } from "../testing/tcp-proxy.ts";
import { type ToyMessage, toyHeaders, toyPayload } from "../testing/toy-messages.ts";
import { type ToyShop, toyShop } from "../testing/toy-shop.ts";
import { until } from "../testing/until.ts";
import { consume } from "./consume.ts";
import { ANY_TYPE, on, onAny, type RawMessage } from "./handlers.ts";
import { DEAD_LETTERS } from "./streams.ts";

// One broker for all tests; each has streams of its own.
const broker = await testBroker();

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

test("events are handled once each, those of a key in their order, by two consumers side by side", async () => {
  const shop = await toyShop();
  const keys = ["a", "b", "c"];
  shop.relay();
  const failsOnce = new Set(["a2", "c1"]);
  for (const concurrency of [2, 3]) {
    shop.consume(
      async (_tx, { toyId, n }) => {
        if (failsOnce.delete(`${toyId}${n}`)) throw new Error("not now");
      },
      { concurrency },
    );
  }
  await Promise.all(
    keys.map(async (key) => {
      for (const n of upTo(6)) await shop.move(key, n);
    }),
  );
  await shop.untilEffects(keys.length * 6);
  await shop.untilConsumed();
  expect(failsOnce.size).toBe(0);
  for (const key of keys) expect(await shop.effects(key)).toEqual(upTo(6));
});

test("an event that was handled and not acknowledged, because the broker died, is handled no second time", async () => {
  const shop = await toyShop();
  shop.relay();
  const killAt = new Set([3, 6]);
  shop.consume(
    async (tx, { n }) => {
      if (killAt.delete(n)) tx.afterCommit(() => broker.kill("SIGKILL"));
    },
    { ackWaitMs: 1_000 },
  );
  for (const n of upTo(9)) await shop.move("a", n);
  await shop.untilEffects(9);
  await shop.untilConsumed();
  expect(killAt.size).toBe(0);
  expect(await shop.effects("a")).toEqual(upTo(9));
});

test("an event that is being handled while the broker restarts has its effect once", async () => {
  const shop = await toyShop();
  shop.relay();
  const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  shop.consume(
    async (_tx, { n }) => {
      if (n !== 2) return;
      begun.resolve();
      await goOn.promise;
    },
    { ackWaitMs: 1_000 },
  );
  for (const n of upTo(5)) await shop.move("a", n);
  await begun.promise;
  await broker.stop();
  await broker.start();
  goOn.resolve();
  await shop.untilEffects(5);
  await shop.untilConsumed();
  expect(await shop.effects("a")).toEqual(upTo(5));
});

test("a consumer that the broker has forgotten is made again, and what is delivered anew has no effect", async () => {
  const shop = await toyShop();
  const { stream, consumer } = shop.contract;
  shop.relay();
  shop.consume();
  for (const n of upTo(3)) await shop.move("a", n);
  await shop.untilEffects(3);
  const { consumers } = await shop.manager();
  const before = await consumers.info(stream, consumer);
  await consumers.delete(stream, consumer);
  for (const n of [4, 5]) await shop.move("a", n);
  await shop.untilEffects(5);
  await shop.untilConsumed();
  expect(await shop.effects("a")).toEqual(upTo(5));
  expect((await consumers.info(stream, consumer)).created).not.toBe(before.created);
});

test("a consumer whose stream is not there yet waits for it", async () => {
  const shop = await toyShop();
  shop.consume();
  await shop.move("a", 1);
  const { consumers, streams } = await shop.manager();
  await expect(streams.info(shop.contract.stream)).rejects.toThrow("stream not found");
  shop.relay();
  await shop.untilEffects(1);
  expect((await consumers.info(shop.contract.stream, shop.contract.consumer)).config).toMatchObject({
    ack_policy: "explicit",
    ack_wait: 30e9,
    deliver_policy: "all",
    durable_name: shop.contract.consumer,
    filter_subject: `evt.${shop.contract.aggregate}.>`,
    max_ack_pending: 512,
  });
});

test("a consumer that starts while the broker is away begins when it is back", async () => {
  const shop = await toyShop();
  shop.relay();
  await shop.move("a", 1);
  await shop.stored(shop.contract.stream).catch(() => []);
  await broker.stop();
  shop.consume();
  await broker.start();
  await shop.untilEffects(1);
});

/** Sends an event straight to the stream, with its headers but these. */
async function sendOne(shop: ToyShop, toy: ToyMessage, without = /^$/): Promise<void> {
  const { contract } = shop;
  const headers = Object.entries(toyHeaders(contract, toy)).filter(([name]) => !without.test(name));
  const subject = `evt.${contract.aggregate}.v1.p00.Moved`;
  await shop.send(subject, Object.fromEntries(headers), toyPayload(contract, toy));
}

/** Sends the events of one key straight to the stream, so that they are all there at once. */
async function sendAll(shop: ToyShop, key: string, count: number): Promise<void> {
  for (const n of upTo(count)) await sendOne(shop, { key, keySeq: n, seq: n, prevSeq: n - 1 });
}

/** Makes the streams, as the relays of a running service have done. */
async function openStreams(shop: ToyShop): Promise<void> {
  shop.relay();
  shop.relay(DEAD_LETTERS);
  const { streams } = await shop.manager();
  await until(() => streams.info(shop.contract.stream).catch(() => undefined));
}

test("after its last attempt an event is a dead letter, with all it came with and what happened to it", async () => {
  const shop = await toyShop();
  await openStreams(shop);
  const attempts: number[] = [];
  shop.consume(async (_tx, _event, { attempt }) => {
    attempts.push(attempt);
    throw new TypeError('no "way"\r\nto do this, né');
  });
  await shop.move("kéy 1", 7);
  const [letter] = await shop.deadLetters(1);
  await shop.untilConsumed();
  expect(attempts).toEqual([1, 2, 3, 4, 5, 6]);
  expect(await shop.effects("kéy 1")).toEqual([]);

  const [original] = await shop.stored(shop.contract.stream);
  const { aggregate, stream, consumer } = shop.contract;
  expect(letter?.subject).toBe(`dlq.${aggregate}.moves.exhausted`);
  expect(letter?.data).toEqual(original?.data);
  const kept = Object.entries(original?.headers ?? {}).filter(([name]) => !name.startsWith("Nats-"));
  expect(kept.length).toBeGreaterThan(12);
  expect(letter?.headers).toMatchObject(Object.fromEntries(kept));
  expect(letter?.headers).toMatchObject({
    "dlq-consumer": consumer,
    "dlq-reason": "exhausted",
    "dlq-error-type": "TypeError",
    "dlq-attempts": "6",
    "dlq-orig-stream": stream,
    "dlq-orig-subject": original?.subject,
    "dlq-orig-seq": "1",
  });
  const header = (name: string) => letter?.headers[name] ?? "";
  expect(decodeURIComponent(header("dlq-error-message"))).toBe('no "way"\r\nto do this, né');
  expect(Buffer.from(header("dlq-error-stack"), "base64").toString()).toContain("TypeError: no");
  for (const name of ["dlq-dead-at", "dlq-orig-time"]) {
    expect(new Date(header(name)).toISOString()).toBe(header(name));
  }
});

test("a key whose event became a dead letter is parked: its later events follow, and other keys go on", async () => {
  const shop = await toyShop();
  await openStreams(shop);
  shop.consume(async (_tx, { toyId, n }) => {
    if (toyId === "bad" && n === 2) throw new PermanentError("never");
  });
  for (const n of upTo(4)) {
    await shop.move("bad", n);
    await shop.move("good", n);
  }
  const letters = await shop.deadLetters(3);
  await shop.untilConsumed();
  expect(
    letters.map(({ headers }) => [headers["ce-keyseq"], headers["dlq-reason"], headers["dlq-attempts"]]),
  ).toEqual([
    ["2", "permanent", "1"],
    ["3", "blocked", "0"],
    ["4", "blocked", "0"],
  ]);
  expect(await shop.effects("bad")).toEqual([1]);
  expect(await shop.effects("good")).toEqual(upTo(4));
});

test("where dead letters are skipped, the later events of the key go on", async () => {
  const shop = await toyShop({ onDead: OnDead.SKIP });
  await openStreams(shop);
  shop.consume(async (_tx, { n }) => {
    if (n === 2) throw new PermanentError("never");
  });
  for (const n of upTo(4)) await shop.move("a", n);
  await shop.untilEffects(3);
  expect(await shop.effects("a")).toEqual([1, 3, 4]);
  expect((await shop.deadLetters(1)).map(({ headers }) => headers["ce-keyseq"])).toEqual(["2"]);
});

test("what is no event at all, or not the one that it says, becomes a dead letter at once", async () => {
  const shop = await toyShop();
  await openStreams(shop);
  const subject = `evt.${shop.contract.aggregate}.v1.p00.Moved`;
  const garbage = new Uint8Array([0xff, 0xff, 0xff]);
  const toy = { key: "a", keySeq: 1, seq: 2, prevSeq: 0 };
  await shop.send(subject, { "x-from": "elsewhere" }, new TextEncoder().encode("hello"));
  await shop.send(subject, toyHeaders(shop.contract, toy), garbage);
  await shop.send(
    subject,
    toyHeaders(shop.contract, { ...toy, key: "b" }),
    toyPayload(shop.contract, { ...toy, key: "b" }),
  );
  shop.consume();
  const letters = await shop.deadLetters(2);
  await shop.untilConsumed();
  expect(letters.map(({ headers }) => headers["dlq-reason"])).toEqual(["undecodable", "undecodable"]);
  const bySeq = new Map(letters.map((letter) => [letter.headers["dlq-orig-seq"], letter]));
  expect(new TextDecoder().decode(bySeq.get("1")?.data)).toBe("hello");
  expect(bySeq.get("1")?.headers["x-from"]).toBe("elsewhere");
  expect(bySeq.get("2")?.data).toEqual(garbage);
  expect(await shop.effects("b")).toEqual([1]);
});

test("an event that is as large as may be has room for what is said of it as a dead letter", async () => {
  const shop = await toyShop();
  await openStreams(shop);
  shop.consume(async () => {
    throw new PermanentError("x".repeat(5_000));
  });
  await shop.move("a", 1, "x".repeat(510 * 1_024));
  const [letter] = await shop.deadLetters(1);
  expect(letter?.data.length).toBeGreaterThan(510 * 1_024);
});

test("a dead letter and the consumer's progress are durable together or not at all", async () => {
  const shop = await toyShop();
  await openStreams(shop);
  await shop.sql.unsafe(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO refusal SELECT 1 FROM (SELECT 1) AS never WHERE false; RAISE EXCEPTION 'no room for dead letters'; END $$;
    CREATE TABLE refusal (n int);
    CREATE TRIGGER refuse BEFORE INSERT ON outbox FOR EACH ROW WHEN (NEW.stream = 'DLQ') EXECUTE FUNCTION refuse()`);
  const tried = Promise.withResolvers<void>();
  let attempts = 0;
  shop.consume(async () => {
    if (++attempts === 3) tried.resolve();
    throw new PermanentError("never");
  });
  await sendAll(shop, "a", 1);
  await tried.promise;
  const parked = () => shop.sql`SELECT 1 FROM inbox_cursor WHERE parked_until > 0`;
  expect(await parked()).toHaveLength(0);
  await shop.sql`DROP TRIGGER refuse ON outbox`;
  await shop.deadLetters(1);
  await shop.untilConsumed();
  expect(await parked()).toHaveLength(1);
  expect(await shop.stored(DEAD_LETTERS.name, `dlq.${shop.contract.aggregate}.`)).toHaveLength(1);
});

test("while the database is away an event waits, and that is no attempt", async () => {
  const shop = await toyShop({ maxAttempts: 1 });
  await openStreams(shop);
  const sql = connect({ url: shop.databaseUrl, name: "victim", maxConnections: 6 });
  atEnd(() => sql.end({ timeout: 1 }));
  let kills = 2;
  shop.consume(
    async (tx) => {
      const [row] = await tx`SELECT pg_backend_pid() AS pid`;
      if (kills-- > 0) await shop.sql`SELECT pg_terminate_backend(${row?.pid})`;
    },
    { sql },
  );
  await sendAll(shop, "a", 2);
  await shop.untilEffects(2);
  await shop.untilConsumed();
  expect(kills).toBeLessThan(0);
  expect(await shop.effects("a")).toEqual([1, 2]);
  expect(await shop.sql`SELECT 1 FROM outbox WHERE stream = 'DLQ'`).toHaveLength(0);
  expect(await shop.sql`SELECT 1 FROM inbox_failure`).toHaveLength(0);
});

test("an event of a type that is not handled lets its key go on", async () => {
  const shop = await toyShop();
  await openStreams(shop);
  const { contract } = shop;
  for (const event of ["Moved", "Painted", "Moved"] as const) {
    const n = (await shop.stored(contract.stream)).length + 1;
    const toy = { key: "a", keySeq: n, seq: n, prevSeq: n - 1, event };
    await shop.send(
      `evt.${contract.aggregate}.v1.p00.${event}`,
      toyHeaders(contract, toy),
      toyPayload(contract, toy),
    );
  }
  shop.consume();
  await shop.untilEffects(2);
  await shop.untilConsumed();
  expect(await shop.effects("a")).toEqual([1, 3]);
});

test("LATEST handles what is newer than all before it, and drops the rest", async () => {
  const shop = await toyShop({ ordering: Ordering.LATEST });
  await openStreams(shop);
  for (const n of [1, 3, 2, 6, 4, 5]) await sendOne(shop, { key: "a", keySeq: n, seq: n, prevSeq: n - 1 });
  await sendOne(shop, { key: "b", keySeq: 9, seq: 7, prevSeq: 0 });
  shop.consume();
  await shop.untilEffects(4);
  await shop.untilConsumed();
  expect(await shop.effects("a")).toEqual([1, 3, 6]);
  expect(await shop.effects("b")).toEqual([9]);
});

test("a LATEST event that failed for good is a dead letter once, and newer ones go on", async () => {
  const shop = await toyShop({ ordering: Ordering.LATEST });
  await openStreams(shop);
  shop.consume(async (_tx, { n }) => {
    if (n === 2) throw new PermanentError("never");
  });
  await sendAll(shop, "a", 3);
  await shop.untilEffects(2);
  await shop.untilConsumed();
  expect(await shop.effects("a")).toEqual([1, 3]);
  expect((await shop.deadLetters(1)).map(({ headers }) => headers["ce-keyseq"])).toEqual(["2"]);
});

test("NONE handles each message once in any order, those without a key too", async () => {
  const shop = await toyShop({ ordering: Ordering.NONE });
  await openStreams(shop);
  const toys = [5, 3, 4].map((n) => ({ key: "a", keySeq: n, seq: n, prevSeq: n - 1, eventId: newId() }));
  for (const toy of toys) await sendOne(shop, toy);
  for (const toy of toys) await sendOne(shop, toy);
  const unkeyed = { key: "b", keySeq: 1, seq: 7, prevSeq: 0, eventId: newId() };
  for (let copy = 0; copy < 2; copy++)
    await sendOne(shop, unkeyed, /^ce-(partitionkey|keyseq|prevseq|subject)$/);
  shop.consume(undefined, { concurrency: 1 });
  shop.consume(undefined, { concurrency: 3 });
  await shop.untilEffects(4);
  await shop.untilConsumed();
  expect((await shop.effects("a")).sort()).toEqual([3, 4, 5]);
  expect(await shop.effects("b")).toEqual([1]);
});

test("a NONE message that failed for good is a dead letter once, however often it comes", async () => {
  const shop = await toyShop({ ordering: Ordering.NONE });
  await openStreams(shop);
  shop.consume(async () => {
    throw new PermanentError("never");
  });
  const toy = { key: "a", keySeq: 1, seq: 1, prevSeq: 0, eventId: newId() };
  for (let copy = 0; copy < 3; copy++) await sendOne(shop, toy);
  await shop.deadLetters(1);
  await shop.untilConsumed();
  expect(await shop.stored(DEAD_LETTERS.name, `dlq.${shop.contract.aggregate}.`)).toHaveLength(1);
});

test("a subscription to all types gets each message as it came", async () => {
  const shop = await toyShop({ handles: [ANY_TYPE] });
  await openStreams(shop);
  const { contract } = shop;
  const toys = [
    { key: "a", keySeq: 1, seq: 1, prevSeq: 0, event: "Moved" },
    { key: "a", keySeq: 2, seq: 2, prevSeq: 1, event: "Painted", data: new Uint8Array([255]) },
  ] as const;
  for (const toy of toys) {
    const subject = `evt.${contract.aggregate}.v1.p00.${toy.event}`;
    await shop.send(subject, toyHeaders(contract, toy), "data" in toy ? toy.data : toyPayload(contract, toy));
  }
  const came: [string, RawMessage][] = [];
  const any = onAny(async (tx, message, { type }) => {
    await tx`INSERT INTO effect (key, n) VALUES ('a', ${message.streamSeq})`;
    came.push([type, message]);
  });
  shop.consume(undefined, { handlers: [any] });
  await shop.untilEffects(2);
  expect(came).toMatchObject([
    [contract.Moved.typeName, { stream: contract.stream, streamSeq: 1, headers: { "ce-keyseq": "1" } }],
    [
      contract.Painted.typeName,
      { subject: `evt.${contract.aggregate}.v1.p00.Painted`, payload: Buffer.from([255]) },
    ],
  ]);
});

test("messages without order are handled in batches, each once, and one that fails takes no other with it", async () => {
  const shop = await toyShop({ ordering: Ordering.NONE });
  await openStreams(shop);
  for (const key of ["a", "b"]) await sendAll(shop, key, 50);
  shop.consume(
    async (_tx, { toyId, n }) => {
      if (toyId === "b" && n === 20) throw new PermanentError("never");
    },
    { batch: 64 },
  );
  const [letter] = await shop.deadLetters(1);
  await shop.untilEffects(99);
  await shop.untilConsumed();
  expect([letter?.headers["ce-partitionkey"], letter?.headers["ce-keyseq"]]).toEqual(["b", "20"]);
  expect((await shop.effects("a")).sort((a, b) => a - b)).toEqual(upTo(50));
  expect((await shop.effects("b")).sort((a, b) => a - b)).toEqual(upTo(50).filter((n) => n !== 20));
  expect(await transactionsOf(shop)).toBeLessThan(99);
});

test("a LATEST consumer in batches handles what is newer, and knows what it does not handle from what is old", async () => {
  const shop = await toyShop({ ordering: Ordering.LATEST });
  await openStreams(shop);
  const { contract } = shop;
  const painted = { key: "a", keySeq: 7, seq: 1, prevSeq: 0, event: "Painted" as const };
  const subject = `evt.${contract.aggregate}.v1.p00.Painted`;
  await shop.send(subject, toyHeaders(contract, painted), toyPayload(contract, painted));
  for (const n of [1, 3, 2, 6, 4]) await sendOne(shop, { key: "a", keySeq: n, seq: n, prevSeq: n - 1 });
  shop.consume(undefined, { batch: 64 });
  await shop.untilEffects(3);
  await shop.untilConsumed();
  expect(await shop.effects("a")).toEqual([1, 3, 6]);
});

/** How many transactions the effects were made by. */
async function transactionsOf(shop: ToyShop): Promise<number> {
  const [row] = await shop.sql<{ count: number }[]>`SELECT count(DISTINCT xmin::text) AS count FROM effect`;
  return row?.count ?? 0;
}

test("STRICT events are handled in batches, those of a key in their order, by two consumers side by side", async () => {
  const shop = await toyShop();
  const keys = ["a", "b", "c", "d"];
  await openStreams(shop);
  for (const n of upTo(8))
    for (const key of keys) await sendOne(shop, { key, keySeq: n, seq: n, prevSeq: n - 1 });
  for (let consumer = 0; consumer < 2; consumer++) shop.consume(undefined, { batch: 16 });
  await shop.untilEffects(keys.length * 8);
  await shop.untilConsumed();
  for (const key of keys) expect(await shop.effects(key)).toEqual(upTo(8));
  expect(await transactionsOf(shop)).toBeLessThan(keys.length * 8);
});

test("in a batch one that fails for good parks its key, and takes none of its neighbours with it", async () => {
  const shop = await toyShop();
  await openStreams(shop);
  for (const n of upTo(10))
    for (const key of ["a", "bad", "c"]) await sendOne(shop, { key, keySeq: n, seq: n, prevSeq: n - 1 });
  let runs = 0;
  shop.consume(
    async (_tx, { toyId, n }) => {
      if (toyId !== "bad" || n !== 4) return;
      runs++;
      throw new PermanentError("never");
    },
    { batch: 64 },
  );
  const letters = await shop.deadLetters(7);
  await shop.untilEffects(23);
  await shop.untilConsumed();
  for (const key of ["a", "c"]) expect(await shop.effects(key)).toEqual(upTo(10));
  expect(await shop.effects("bad")).toEqual([1, 2, 3]);
  const dead = letters.map(({ headers }) => [headers["ce-keyseq"], headers["dlq-reason"]]);
  expect(dead).toEqual([["4", "permanent"], ...[5, 6, 7, 8, 9, 10].map((n) => [String(n), "blocked"])]);
  // Once with its batch, once by itself.
  expect(runs).toBe(2);
});

test("one that fails for now is tried again by itself, and its key waits for it, not its batch", async () => {
  const shop = await toyShop();
  await openStreams(shop);
  for (const n of upTo(6))
    for (const key of ["a", "late"]) await sendOne(shop, { key, keySeq: n, seq: n, prevSeq: n - 1 });
  const attempts: number[] = [];
  const goOn = Promise.withResolvers<void>();
  shop.consume(
    async (_tx, { toyId, n }, { attempt }) => {
      if (toyId !== "late" || n !== 2) return;
      attempts.push(attempt);
      if (attempts.length <= 2) throw new Error("not now");
      await goOn.promise;
    },
    { batch: 64 },
  );
  // While its second attempt runs, with the transaction that holds the key.
  await until(() => attempts.length === 3);
  for (const n of [7, 8]) await sendOne(shop, { key: "a", keySeq: n, seq: n, prevSeq: n - 1 });
  await until(async () => (await shop.effects("a")).length === 8);
  expect(await shop.effects("late")).toEqual([1]);
  goOn.resolve();
  await shop.untilEffects(14);
  await shop.untilConsumed();
  expect(await shop.effects("late")).toEqual(upTo(6));
  // With its batch it was no attempt of its own.
  expect(attempts).toEqual([1, 1, 2]);
});

test("while the database is away a batch waits, and that is no attempt of any", async () => {
  const shop = await toyShop({ maxAttempts: 1 });
  await openStreams(shop);
  const sql = connect({ url: shop.databaseUrl, name: "victim", maxConnections: 6 });
  atEnd(() => sql.end({ timeout: 1 }));
  let kills = 2;
  for (const key of ["a", "b"]) await sendAll(shop, key, 5);
  shop.consume(
    async (tx) => {
      const [row] = await tx`SELECT pg_backend_pid() AS pid`;
      if (kills-- > 0) await shop.sql`SELECT pg_terminate_backend(${row?.pid})`;
    },
    { sql, batch: 64 },
  );
  await shop.untilEffects(10);
  await shop.untilConsumed();
  expect(kills).toBeLessThan(0);
  for (const key of ["a", "b"]) expect(await shop.effects(key)).toEqual(upTo(5));
  expect(await shop.sql`SELECT 1 FROM outbox WHERE stream = 'DLQ'`).toHaveLength(0);
  expect(await shop.sql`SELECT 1 FROM inbox_failure WHERE attempts > 0`).toHaveLength(0);
});

test("stopping finishes the batch that runs, and gives what waits to another consumer at once", async () => {
  const shop = await toyShop();
  await openStreams(shop);
  for (const key of ["a", "b", "c"]) await sendAll(shop, key, 4);
  const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const first = shop.consume(
    async () => {
      begun.resolve();
      await goOn.promise;
    },
    { batch: 5 },
  );
  await begun.promise;
  const stopped = first.stop();
  goOn.resolve();
  await stopped;
  const [row] = await shop.sql<{ count: number }[]>`SELECT count(*) AS count FROM effect`;
  expect(row?.count).toBeLessThanOrEqual(5);
  // With an ack_wait of 30 s, what was not given back would come too late for this test.
  shop.consume(undefined, { batch: 5 });
  await shop.untilEffects(12);
  for (const key of ["a", "b", "c"]) expect(await shop.effects(key)).toEqual(upTo(4));
});

test("no batch is larger than 64", async () => {
  const shop = await toyShop();
  for (const batch of [0, 65, Number.NaN])
    expect(() => shop.consume(undefined, { batch })).toThrow(RangeError);
});

test("a stream that was deleted is read again once it is there again, and nothing of it has its effect twice", async () => {
  const shop = await toyShop();
  shop.relay(undefined, { auditEveryMs: 50 });
  shop.consume();
  for (const n of upTo(3)) await shop.move("a", n);
  await shop.untilEffects(3);
  const { streams } = await shop.manager();
  await streams.delete(shop.contract.stream);
  for (const n of [4, 5]) await shop.move("a", n);
  await shop.untilEffects(5);
  await shop.untilConsumed();
  expect(await shop.effects("a")).toEqual(upTo(5));
});

test("stopping finishes what runs and gives the rest to another consumer at once", async () => {
  const shop = await toyShop();
  await openStreams(shop);
  for (const key of ["a", "b", "c"]) await sendAll(shop, key, 2);
  const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const handledByFirst: string[] = [];
  const first = shop.consume(
    async (_tx, { toyId, n }) => {
      handledByFirst.push(`${toyId}${n}`);
      begun.resolve();
      await goOn.promise;
    },
    { concurrency: 1 },
  );
  await begun.promise;
  const stopped = first.stop();
  goOn.resolve();
  await stopped;
  expect(handledByFirst).toEqual(["a1"]);
  expect(await shop.effects("a")).toEqual([1]);
  // With an ack_wait of 30 s, what was not given back would come too late for this test.
  shop.consume();
  await shop.untilEffects(6);
  for (const key of ["a", "b", "c"]) expect(await shop.effects(key)).toEqual([1, 2]);
});

test("a consumer that stops has the broker forget its requests before it gives anything back, and makes no more", async () => {
  const shop = await toyShop();
  await openStreams(shop);
  const { stream, consumer } = shop.contract;
  const { connection } = await shop.nats.online(AbortSignal.timeout(20_000));
  const heard: string[] = [];
  const listen = (subject: string, nameOf: (text: string) => string) =>
    connection.subscribe(subject, { callback: (_, message) => void heard.push(nameOf(message.string())) });
  listen(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`, () => "request");
  listen(`$JS.API.CONSUMER.INFO.${stream}.${consumer}`, () => "question");
  listen(`$JS.ACK.${stream}.${consumer}.>`, (text) => text.split(" ")[0] ?? "");
  // More than half of what is fetched ahead, so that a request for more stands in line behind them.
  await Promise.all(Array.from({ length: 100 }, (_, i) => sendAll(shop, `key-${i}`, 1)));
  const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const running = shop.consume(
    async () => {
      begun.resolve();
      await goOn.promise;
    },
    { concurrency: 1 },
  );
  await begun.promise;
  const { consumers } = await shop.manager();
  await until(async () => (await consumers.info(stream, consumer)).num_ack_pending === 100);
  await connection.flush();
  heard.length = 0;
  const stopped = running.stop();
  goOn.resolve();
  await stopped;
  await until(() => heard.filter((each) => each === "-NAK").length === 99);
  expect(heard.filter((each) => each === "request")).toEqual([]);
  expect(heard.indexOf("question")).toBeLessThan(heard.indexOf("-NAK"));
  expect(heard.indexOf("question")).not.toBe(-1);
});

test("stopping waits no longer than its bound for a handler that hangs, however much waits behind it", async () => {
  const shop = await toyShop();
  await openStreams(shop);
  await sendAll(shop, "a", 12);
  const bounds: number[] = [];
  const clock: Clock = {
    ...systemClock,
    sleep(delayMs, signal) {
      if (signal) return systemClock.sleep(delayMs, signal);
      bounds.push(delayMs);
      return Promise.resolve();
    },
  };
  const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const consumer = shop.consume(
    async () => {
      begun.resolve();
      await goOn.promise;
    },
    { concurrency: 1, clock, finishWithinMs: 20_000 },
  );
  await begun.promise;
  // All that it takes at once is in its hands.
  const { consumers } = await shop.manager();
  await until(
    async () => (await consumers.info(shop.contract.stream, shop.contract.consumer)).num_ack_pending === 12,
  );
  await consumer.stop();
  expect(bounds).toEqual([20_000]);
  goOn.resolve();
  await shop.untilEffects(1);
});

test("a consumer that is stopped before it ever began just ends", async () => {
  const shop = await toyShop();
  await shop.consume().stop();
  const nats = openNats({ url: "nats://127.0.0.1:1", name: "nowhere", log: silentLog });
  atEnd(() => nats.close());
  const consumer = shop.consume(undefined, { nats });
  await consumer.stop();
  await consumer.stop();
});

test("a handler runs as the work that its event began", async () => {
  const shop = await toyShop();
  shop.relay();
  const works: unknown[] = [];
  shop.consume(async (_tx, _event, { eventId }) => {
    const work = currentWork();
    works.push([work?.requestId === eventId, work?.causationId === eventId, work?.trace.traceId]);
  });
  await shop.move("a", 1);
  await shop.untilEffects(1);
  const [stored] = await shop.stored(shop.contract.stream);
  expect(works).toEqual([[true, true, stored?.headers.traceparent?.split("-")[1]]]);
});

test("handlers that are not those of the contract are refused at once, by name", async () => {
  const shop = await toyShop();
  const { contract, sql, nats } = shop;
  const options = { sql, nats, service: contract.service, subscription: "moves", log: silentLog };
  const nothing = async () => {};
  const moved = on(contract.Moved, nothing);
  const type = (name: string) => `test.${contract.aggregate}.v1.${name}`;
  expect(() => consume({ ...options, handlers: [] })).toThrow(
    `subscription "moves": nothing handles ${type("Moved")}`,
  );
  expect(() => consume({ ...options, handlers: [moved, on(contract.Painted, nothing)] })).toThrow(
    `its contract does not list ${type("Painted")}`,
  );
  expect(() => consume({ ...options, handlers: [moved], subscription: "other" })).toThrow(
    `the contract of ${type("ToyService")} has no subscription "other"`,
  );
});

test("what is on its way to a consumer that stops is given back at once", async () => {
  const shop = await toyShop();
  shop.relay();
  const { hostname, port } = new URL(broker.url);
  const far = await tcpProxy({ host: hostname, port: Number(port) }, { delayMs: 100 });
  const nats = openNats({ url: `nats://127.0.0.1:${far.endpoint.port}`, name: "far", log: silentLog });
  atEnd(() => nats.close());
  let isOver = false;
  const moving = (async () => {
    let count = 0;
    while (!isOver) await shop.move(`key-${++count}`, 1);
    return count;
  })();
  const ackWaitMs = 600_000;
  const begun = Promise.withResolvers<void>();
  const running = shop.consume(async () => begun.resolve(), { nats, ackWaitMs });
  await begun.promise;
  await running.stop();
  isOver = true;
  const count = await moving;
  shop.consume(async () => {}, { ackWaitMs });
  await shop.untilEffects(count);
});
