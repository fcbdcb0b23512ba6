import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, test } from "vitest";
import { connect, type Sql } from "../store/connect.ts";
import { transaction } from "../store/transaction.ts";
import { type Metrics, startMetrics } from "../telemetry/metrics.ts";
import { atEnd } from "../testing/at-end.ts";
import { testBroker } from "../testing/broker.ts";
import { testDatabase } from "../testing/database.ts";
import { OUTBOX_PROCESS, type OutboxOrder, type OutboxReport } from "../testing/outbox-process.ts";
import { type ToyShop, toyShop } from "../testing/toy-shop.ts";
import { until } from "../testing/until.ts";

// One broker for all tests; each has streams of its own.
const broker = await testBroker();

/** A service of the shop in a process of its own, on the shop's database. */
interface Service {
  /** Resolves when it reports so. */
  order(order: OutboxOrder, report: OutboxReport): Promise<void>;
  /** Kills it in the middle of whatever it does; resolves when its sessions have ended. */
  kill(): Promise<void>;
}

async function service({ databaseUrl, sql, contract }: ToyShop): Promise<Service> {
  const child = fork(join(import.meta.dirname, "../testing/outbox-process.ts"), {
    env: { ...process.env, DATABASE_URL: databaseUrl },
  });
  const end = async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  };
  atEnd(end);
  await reported(child, "ready");
  return {
    async order(order, report) {
      const done = reported(child, report);
      child.send(order);
      await done;
    },
    async kill() {
      await end();
      // A statement that waits for a lock does not notice by itself.
      const names = [OUTBOX_PROCESS, `leader relay ${contract.stream}`];
      await until(async () => (await endSessions(sql, names)) === 0);
    },
  };
}

/** Ends the sessions of these names. Resolves with how many there were. */
async function endSessions(sql: Sql, names: readonly string[]): Promise<number> {
  const sessions = await sql<{ pid: number }[]>`
    SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = ANY (${[...names]})`;
  for (const { pid } of sessions) {
    // One that ends by itself belongs to nobody any more, and only an administrator may touch it.
    await sql`SELECT pg_terminate_backend(${pid}::int)`.catch((error) => {
      if (error.code !== INSUFFICIENT_PRIVILEGE) throw error;
    });
  }
  return sessions.length;
}

const INSUFFICIENT_PRIVILEGE = "42501";

async function reported(child: ChildProcess, report: OutboxReport): Promise<void> {
  for (;;) {
    const [said] = await once(child, "message");
    if (said === report) return;
  }
}

const relayOrder = ({ plan }: ToyShop): OutboxOrder => ({ do: "relay", stream: plan, natsUrl: broker.url });

async function fill(shop: ToyShop, key: string, count: number): Promise<void> {
  for (let n = 1; n <= count; n++) await shop.move(key, n);
}

function untilPublished({ sql }: ToyShop, count: number): Promise<unknown> {
  return until(async () => {
    const [row] = await sql<{ count: number }[]>`
      SELECT count(*) AS count FROM outbox WHERE published_at IS NOT NULL`;
    return row?.count === count;
  });
}

const numbersOf = async ({ stored, contract }: ToyShop) =>
  (await stored(contract.stream)).map(({ headers }) => Number(headers["ce-keyseq"]));

/** What was counted of a counter, over all its series. */
function total(metrics: Metrics, counter: string): number {
  const found = metrics.read().counters.find(({ name }) => name === counter);
  return found?.points.reduce((sum, [, value]) => sum + value, 0) ?? 0;
}

test("a service that dies before its commit has published nothing, and its number is given again", async () => {
  const shop = await toyShop();
  const dying = await service(shop);
  await dying.order({ do: "publish", aggregate: shop.contract.aggregate, key: "a" }, "published");
  await dying.kill();
  expect(await shop.sql`SELECT 1 FROM outbox`).toEqual([]);
  shop.relay();
  await fill(shop, "a", 2);
  await untilPublished(shop, 2);
  expect(await numbersOf(shop)).toEqual([1, 2]);
});

test("what a service commits, and dies before its relay sees it, is published by another", async () => {
  const shop = await toyShop();
  const dying = await service(shop);
  await dying.order({ do: "publish", aggregate: shop.contract.aggregate, key: "a" }, "published");
  await dying.order({ do: "commit" }, "committed");
  await dying.kill();
  shop.relay();
  await untilPublished(shop, 1);
  expect(await numbersOf(shop)).toEqual([1]);
});

const leaders = ({ sql, contract }: ToyShop) => sql`
  SELECT 1 FROM pg_stat_activity a JOIN pg_locks l USING (pid)
  WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database()
    AND a.application_name = ${`leader relay ${contract.stream}`}`;

test("a relay that dies before it publishes is followed by the one that stands by", async () => {
  const shop = await toyShop();
  const dying = await service(shop);
  await broker.stop();
  await dying.order(relayOrder(shop), "relays");
  await until(async () => (await leaders(shop)).length === 1);
  const standby = shop.relay();
  await fill(shop, "a", 3);
  expect(standby.leads()).toBe(false);
  await dying.kill();
  await until(() => standby.leads());
  await broker.start();
  await untilPublished(shop, 3);
  expect(await numbersOf(shop)).toEqual([1, 2, 3]);
});

test("a relay that dies after it has published, and before it wrote that down, doubles nothing", async () => {
  const shop = await toyShop();
  const metrics = startMetrics({ keepsEndpoints: false });
  await fill(shop, "a", 1);
  for (const key of ["b", "c"]) await shop.move(key, 1);
  const dying = await service(shop);
  const [locked, unlock] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const lock = transaction(shop.sql, async (tx) => {
    await tx`LOCK TABLE outbox IN SHARE MODE`;
    locked.resolve();
    await unlock.promise;
  });
  await locked.promise;
  await dying.order(relayOrder(shop), "relays");
  await until(async () => (await numbersOf(shop).catch(() => [])).length === 3);
  await dying.kill();
  unlock.resolve();
  await lock;
  expect(await shop.sql`SELECT 1 FROM outbox WHERE published_at IS NOT NULL`).toEqual([]);
  shop.relay(shop.plan, { meter: metrics });
  await untilPublished(shop, 3);
  expect(await numbersOf(shop)).toEqual([1, 1, 1]);
  const rows = await shop.sql`SELECT stream_seq FROM outbox ORDER BY stream_seq`;
  expect(rows.map((row) => row.stream_seq)).toEqual([1, 2, 3]);
  expect(total(metrics, "mesh.outbox.publish.duplicates")).toBe(3);
});

test("two that lead at the same time publish twice, and the effects are the same", async () => {
  const shop = await toyShop();
  // The lead is a lock of a database: in another one it is free.
  const elsewhere = await testDatabase();
  const metrics = startMetrics({ keepsEndpoints: false });
  // So short that the broker takes some a second time.
  const plan = { ...shop.plan, duplicateWindowMs: 100 };
  const relays = [
    shop.relay(plan, { meter: metrics }),
    shop.relay(plan, { meter: metrics, databaseUrl: elsewhere.url }),
  ];
  await until(() => relays.every((relay) => relay.leads()));
  shop.consume();
  const keys = ["a", "b", "c", "d", "e"];
  let moves = 0;
  await until(async () => {
    moves++;
    for (const key of keys) await shop.move(key, moves);
    const sent = ["mesh.outbox.published", "mesh.outbox.publish.duplicates"].map((name) =>
      total(metrics, name),
    );
    return moves >= 20 && sent.reduce((sum, count) => sum + count, 0) > moves * keys.length;
  });
  await shop.untilEffects(moves * keys.length);
  await shop.untilConsumed();
  const inOrder = Array.from({ length: moves }, (_, i) => i + 1);
  for (const key of keys) expect(await shop.effects(key)).toEqual(inOrder);
  expect(total(metrics, "mesh.outbox.broker_loss")).toBe(0);
});

test("what a dying broker has not acknowledged is sent again as soon as it is back, and stored once", async () => {
  const shop = await toyShop();
  // Nobody waits that long: what was asked on a connection that is lost is given up at once.
  shop.relay(shop.plan, { publishTimeoutMs: 600_000 });
  await fill(shop, "a", 1);
  await untilPublished(shop, 1);
  const { connection } = await shop.nats.online(new AbortController().signal);
  broker.kill("SIGSTOP");
  const before = connection.stats().outMsgs;
  await Promise.all(["b", "c", "d", "e"].map((key) => shop.move(key, 1)));
  await until(() => connection.stats().outMsgs > before);
  broker.kill("SIGKILL");
  await untilPublished(shop, 5);
  expect(await numbersOf(shop)).toEqual([1, 1, 1, 1, 1]);
});

test("a broker that is killed keeps what it has acknowledged, and the audit finds nothing lost", async () => {
  const shop = await toyShop();
  const metrics = startMetrics({ keepsEndpoints: false });
  shop.relay(shop.plan, { meter: metrics });
  for (let round = 1; round <= 3; round++) {
    for (const key of ["a", "b"]) await shop.move(key, round);
    await untilPublished(shop, 2 * round);
    broker.kill("SIGKILL");
  }
  await shop.move("c", 1);
  await untilPublished(shop, 7);
  expect(await shop.stored(shop.contract.stream)).toHaveLength(7);
  expect(total(metrics, "mesh.outbox.broker_loss")).toBe(0);
});

test("a relay outlives the end of all its sessions at the database, again and again", async () => {
  const shop = await toyShop();
  const name = "hunted";
  const sql = connect({ url: shop.databaseUrl, name });
  atEnd(() => sql.end({ timeout: 1 }));
  shop.relay(shop.plan, { sql });
  for (let round = 1; round <= 5; round++) {
    for (const key of ["a", "b", "c"]) await shop.move(key, round);
    for (const hunted of [name, `leader relay ${shop.contract.stream}`])
      await until(async () => (await endSessions(shop.sql, [hunted])) > 0);
  }
  await untilPublished(shop, 15);
  const stored = await shop.stored(shop.contract.stream);
  expect(stored).toHaveLength(15);
  for (const key of ["a", "b", "c"]) {
    const ofKey = stored.filter(({ headers }) => headers["ce-partitionkey"] === key);
    expect(ofKey.map(({ headers }) => headers["ce-keyseq"])).toEqual(["1", "2", "3", "4", "5"]);
  }
});
