import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { connect as connectSocket, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test, vi } from "vitest";
import { freePort } from "../../tools/local/ports.ts";
import { connect } from "../store/connect.ts";
import { startMetrics } from "../telemetry/metrics.ts";
import { atEnd } from "../testing/at-end.ts";
import { testBroker } from "../testing/broker.ts";
import type { Fate, ToyConsumerConfig } from "../testing/toy-consumer-process.ts";
import { type ToyMessage, toyHeaders, toyPayload } from "../testing/toy-messages.ts";
import { type StoredMessage, type ToyShop, toyShop } from "../testing/toy-shop.ts";
import { until } from "../testing/until.ts";
import { DEAD_LETTERS, ensureStream, REPLAYS } from "./streams.ts";
import { replaySubject } from "./subject.ts";

// Processes that start and die, one after the other, on a busy machine.
vi.setConfig({ testTimeout: 120_000 });

const broker = await testBroker();
// There is no second attempt, so that a handler may take its time; who waits for its end waits as long, and a second.
const LIMITS = { maxAttempts: 1, handlerTimeoutMs: 4_000, ackWaitMs: 1_000 };

async function openShop(): Promise<ToyShop> {
  const { maxAttempts, handlerTimeoutMs } = LIMITS;
  const shop = await toyShop({ maxAttempts, handlerTimeout: durationFromMs(handlerTimeoutMs) });
  shop.relay();
  shop.relay(DEAD_LETTERS);
  const manager = await shop.manager();
  await until(() => manager.streams.info(shop.contract.stream).catch(() => undefined));
  await ensureStream(manager, REPLAYS);
  return shop;
}

async function send(shop: ToyShop, key: string, n: number): Promise<void> {
  const { contract } = shop;
  const toy: ToyMessage = { key, keySeq: n, seq: n, prevSeq: n - 1 };
  const subject = `evt.${contract.aggregate}.v1.p00.Moved`;
  await shop.send(subject, toyHeaders(contract, toy), toyPayload(contract, toy));
}

/** A consumer in a process of its own. */
function consumerProcess(
  { databaseUrl, contract: { aggregate } }: ToyShop,
  fate: Fate,
  at: number,
  batch = 1,
) {
  const natsUrl = broker.url;
  const config: ToyConsumerConfig = { ...LIMITS, databaseUrl, natsUrl, aggregate, batch, fate, at };
  const child = fork(
    join(import.meta.dirname, "../testing/toy-consumer-process.ts"),
    [JSON.stringify(config)],
    {
      stdio: ["ignore", "pipe", "inherit", "ipc"],
    },
  );
  atEnd(() => end(child));
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

test.each(["dies in its handler", "dies after its commit"] as const)(
  "when a consumer %s, another one goes on, and each effect is there once",
  async (fate) => {
    const shop = await openShop();
    for (const n of [1, 2, 3]) for (const key of ["a", "b"]) await send(shop, key, n);
    const child = consumerProcess(shop, fate, 2);
    await once(child, "exit");
    shop.consume(undefined, { ackWaitMs: LIMITS.ackWaitMs });
    await shop.untilEffects(6);
    await shop.untilConsumed();
    for (const key of ["a", "b"]) expect(await shop.effects(key)).toEqual([1, 2, 3]);
  },
);

test.each(["dies in its handler", "dies after its commit"] as const)(
  "when a consumer in batches %s, another one goes on, and each effect is there once",
  async (fate) => {
    const shop = await openShop();
    const keys = ["a", "b", "c"];
    for (const n of [1, 2, 3, 4]) for (const key of keys) await send(shop, key, n);
    const child = consumerProcess(shop, fate, 2, 64);
    await once(child, "exit");
    // A whole batch, or nothing of it.
    const [row] = await shop.sql<{ count: number }[]>`
      SELECT count(*) AS count FROM effect WHERE xmin IN (SELECT xmin FROM effect WHERE n = 2)`;
    const handled = row?.count ?? 0;
    if (fate === "dies in its handler") expect(handled).toBe(0);
    else expect(handled).toBeGreaterThan(1);
    shop.consume(undefined, { ackWaitMs: LIMITS.ackWaitMs, batch: 64 });
    await shop.untilEffects(12);
    await shop.untilConsumed();
    for (const key of keys) expect(await shop.effects(key)).toEqual([1, 2, 3, 4]);
  },
);

test("an event at which processes die becomes a dead letter after five of them, and other keys go on", async () => {
  const shop = await openShop();
  for (const n of [1, 2, 3]) await send(shop, "bad", n);
  let deaths = 0;
  for (;;) {
    const child = consumerProcess(shop, "dies in its handler", 2);
    const died = once(child, "exit").then(() => "died");
    const ended = await Promise.race([died, shop.deadLetters(2).then(() => "given up")]);
    if (ended === "given up") break;
    deaths++;
  }
  await send(shop, "good", 1);
  await shop.untilEffects(2);
  await shop.untilConsumed();
  expect(deaths).toBe(LIMITS.maxAttempts + 4);
  expect(await shop.effects("bad")).toEqual([1]);
  const letters = await shop.deadLetters(2);
  expect(letters.map(({ headers }) => [headers["ce-keyseq"], headers["dlq-reason"]])).toEqual([
    ["2", "crash_loop"],
    ["3", "blocked"],
  ]);
});

test("what a consumer holds whose event loop is blocked goes to another one, its key too", async () => {
  const shop = await openShop();
  for (const n of [1, 2, 3]) await send(shop, "a", n);
  const child = consumerProcess(shop, "blocks its event loop", 2);
  if (!child.stdout) throw new Error("the child has an output");
  await once(child.stdout, "data");
  shop.consume(undefined, { ackWaitMs: LIMITS.ackWaitMs });
  await shop.untilEffects(3);
  expect(await shop.effects("a")).toEqual([1, 2, 3]);
  expect(child.signalCode).toBeNull();
});

test("a consumer that dies between a dead letter and its answer leaves one dead letter", async () => {
  const shop = await openShop();
  for (const n of [1, 2]) await send(shop, "a", n);
  const child = consumerProcess(shop, "dies after its dead letter", 2);
  await once(child, "exit");
  shop.consume(undefined, { ackWaitMs: LIMITS.ackWaitMs });
  await shop.deadLetters(1);
  await shop.untilConsumed();
  expect(await shop.effects("a")).toEqual([1]);
  expect(await shop.deadLetters(1)).toHaveLength(1);
});

test.each(["dies in its handler", "dies after its commit"] as const)(
  "a dead letter at whose replay a consumer %s is handled once, by another one",
  async (fate) => {
    const shop = await openShop();
    await send(shop, "a", 1);
    const broken = shop.consume(
      async () => {
        throw new Error("not today");
      },
      { ackWaitMs: LIMITS.ackWaitMs },
    );
    const [letter] = (await shop.deadLetters(1)) as [StoredMessage];
    await broken.stop();
    const child = consumerProcess(shop, fate, 1);
    const headers = Object.entries(letter.headers).filter(([name]) => !name.startsWith("Nats-"));
    const subject = replaySubject(shop.contract.consumer, "a");
    await shop.send(subject, { ...Object.fromEntries(headers), "replay-action": "retry" }, letter.data);
    await once(child, "exit");
    shop.consume(undefined, { ackWaitMs: LIMITS.ackWaitMs });
    await shop.untilEffects(1);
    await send(shop, "a", 2);
    await shop.untilEffects(2);
    const { consumers } = await shop.manager();
    await until(async () => {
      const info = await consumers.info(REPLAYS.name, `${shop.contract.consumer}__replay`);
      return info.num_ack_pending === 0;
    });
    expect(await shop.effects("a")).toEqual([1, 2]);
  },
);

/** A way to a database that a test can break. */
interface FragileDatabase {
  readonly url: string;
  /** Refuses connections, and breaks those that stand. */
  goAway(): Promise<void>;
  comeBack(): Promise<void>;
  /** Breaks the next connection that is to hear that it has committed, before it hears it. */
  breakAtCommit(): void;
}

async function fragileDatabase(databaseUrl: string): Promise<FragileDatabase> {
  const { hostname, port } = new URL(databaseUrl);
  let breaksAtCommit = false;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connectSocket({ host: hostname, port: Number(port) });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream);
    upstream.on("data", (data) => {
      if (!breaksAtCommit || !data.includes("COMMIT\0")) return void client.write(data);
      breaksAtCommit = false;
      client.resetAndDestroy();
    });
  });
  const listen = (at: number) =>
    new Promise<void>((resolve) => server.listen(at, "127.0.0.1", () => resolve()));
  const goAway = async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.resetAndDestroy();
    await closed;
  };
  // A port that nobody else is given while nothing listens there.
  const own = await freePort();
  await listen(own);
  atEnd(async () => {
    if (server.listening) await goAway();
  });
  const url = new URL(databaseUrl);
  url.port = String(own);
  return {
    url: url.href,
    goAway,
    comeBack: () => listen(own),
    breakAtCommit() {
      breaksAtCommit = true;
    },
  };
}

test("while the database is away nothing is given back and nothing counts as an attempt; then all is done", async () => {
  const shop = await openShop();
  const database = await fragileDatabase(shop.databaseUrl);
  const sql = connect({ url: database.url, name: "victim", maxConnections: 6 });
  atEnd(() => sql.end({ timeout: 1 }));
  // Every answer that the broker is given.
  const { connection } = await shop.nats.online(AbortSignal.timeout(20_000));
  const answers: string[] = [];
  connection.subscribe(`$JS.ACK.${shop.contract.stream}.>`, {
    callback: (_error, message) => void answers.push(message.string().split(" ")[0] ?? ""),
  });
  const metrics = startMetrics({ keepsEndpoints: false });
  const isOpen = () =>
    metrics.read().gauges.find(({ name }) => name === "mesh.consumer.breaker_open")?.points[0]?.[1];

  // What the inbox counts of an event that is delivered again it forgets when that is handled; the handler is told.
  const attempts: number[] = [];
  const note = async (_tx: unknown, _event: unknown, { attempt }: { readonly attempt: number }) =>
    void attempts.push(attempt);
  shop.consume(note, { sql, meter: metrics, ackWaitMs: 2_000 });
  await send(shop, "a", 1);
  await shop.untilEffects(1);
  await database.goAway();
  for (let n = 1; n <= 30; n++) await send(shop, `key-${n}`, 1);
  await until(() => isOpen() === 1);
  const failures = () =>
    metrics.read().counters.find(({ name }) => name === "mesh.handler.failures")?.points[0]?.[1] ?? 0;
  const heartbeats = () => answers.filter((answer) => answer === "+WPI").length;
  const before = { failures: failures(), heartbeats: heartbeats() };
  // Some probes, and some heartbeats of all that it holds.
  await until(() => failures() >= before.failures + 3);
  await until(() => heartbeats() >= before.heartbeats + 32);
  expect(answers.filter((answer) => answer === "-NAK")).toEqual([]);
  await database.comeBack();
  await shop.untilEffects(31);
  await shop.untilConsumed();
  expect(isOpen()).toBe(0);
  expect(answers.filter((answer) => answer === "-NAK")).toEqual([]);
  expect(new Set(attempts)).toEqual(new Set([1]));
  expect(await shop.sql`SELECT 1 FROM inbox_failure WHERE attempts > 0`).toHaveLength(0);
  for (let n = 1; n <= 30; n++) expect(await shop.effects(`key-${n}`)).toEqual([1]);
});

test("a commit of which nobody heard is a commit: its event is known when it is tried again", async () => {
  const shop = await openShop();
  const database = await fragileDatabase(shop.databaseUrl);
  const sql = connect({ url: database.url, name: "victim", maxConnections: 6 });
  atEnd(() => sql.end({ timeout: 1 }));
  let runs = 0;
  shop.consume(
    async (_tx, { n }) => {
      runs++;
      if (n === 2) database.breakAtCommit();
    },
    { sql },
  );
  for (const n of [1, 2, 3]) await send(shop, "a", n);
  await shop.untilEffects(3);
  await shop.untilConsumed();
  expect(await shop.effects("a")).toEqual([1, 2, 3]);
  expect(runs).toBe(3);
});

test("what a provider did for an event whose transaction was rolled back, it does no second time", async () => {
  const shop = await toyShop();
  shop.relay();
  const charged = new Map<string, number>();
  let calls = 0;
  shop.consume(async (_tx, { n }, { eventId }) => {
    calls++;
    // A provider that knows its requests by their keys.
    if (!charged.has(eventId)) charged.set(eventId, n);
    if (calls === 1) throw new Error("after the call, before the commit");
  });
  await shop.move("a", 7);
  await shop.untilEffects(1);
  expect([calls, [...charged.values()]]).toEqual([2, [7]]);
});
