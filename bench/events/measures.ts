import { AckPolicy, jetstream, jetstreamManager, StorageType } from "@nats-io/jetstream";
import { Ordering } from "../../gen/mesh/event/v1/event_pb.ts";
import { streamContract } from "../../mesh/contract/event.ts";
import { silentLog } from "../../mesh/core/log.ts";
import { consume } from "../../mesh/events/consume.ts";
import { on } from "../../mesh/events/handlers.ts";
import { publish } from "../../mesh/events/publish.ts";
import { startRelay } from "../../mesh/events/relay.ts";
import { eventStream } from "../../mesh/events/streams.ts";
import type { Queries } from "../../mesh/store/connect.ts";
import { type Tx, transaction } from "../../mesh/store/transaction.ts";
import { type Toys, toys } from "../../mesh/testing/toys.ts";
import { quantile } from "../calls/statistics.ts";
import type { Place } from "./place.ts";

/** What was measured: figures by their name, each with its unit in it. */
export type Measured = Readonly<Record<string, number>>;

/** The names of figures that are compared with others. */
export const FIGURES = {
  inserts: "PostgreSQL: bare inserts, 16 at a time",
  transactionsAlone: "PostgreSQL: bare transactions of an insert, 1 at a time",
  publish: "Weft: publish in a transaction, 16 at a time",
  rawPublish: "JetStream: publish, 256 in flight",
  relay: "Weft: relay drains the outbox",
  strict: "Weft: STRICT, 16 at a time",
  strictAlone: "Weft: STRICT, 1 at a time",
  strictTogether: "Weft: STRICT, batches of 64",
  way: "Weft: end to end, STRICT",
  steadyP50: "Weft: end to end, p50 ms at 200 a second",
  steadyP99: "Weft: end to end, p99 ms at 200 a second",
} as const;

/** The content of each event, about as long as an order's. */
export const TEXT = "x".repeat(300);
const KEYS = 1_000;
const BATCH = 500;
const POLL_MS = 5;
const AT_ONCE = 16;
const TOGETHER = 64;
const PUBLISHERS = 8;
const STEADY_PER_SECOND = 200;
const STEADY_SHARE = 10;
const PIPELINED = 256;
const MODES = { NONE: Ordering.NONE, LATEST: Ordering.LATEST, STRICT: Ordering.STRICT } as const;
const never = new AbortController().signal;

const keyOf = (n: number) => `key-${n % KEYS}`;
const contractOf = ({ replicas }: Place, ordering: Ordering = Ordering.STRICT) =>
  toys({ ordering }, { maxBytes: 2 ** 28, replicas });

/** Does something so many times, so many side by side. Resolves with how many a second. */
async function rate(count: number, inFlight: number, act: (n: number) => Promise<unknown>): Promise<number> {
  const beganMs = performance.now();
  let begun = 0;
  const work = async () => {
    while (begun < count) await act(begun++);
  };
  await Promise.all(Array.from({ length: inFlight }, work));
  return (count * 1_000) / (performance.now() - beganMs);
}

async function untilTrue(ask: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await ask())) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}

function relayOf({ sql, databaseUrl, nats }: Place, { Moved }: Toys) {
  return startRelay({ sql, databaseUrl, nats, stream: eventStream(streamContract(Moved)), log: silentLog });
}

async function fill({ sql }: Place, { Moved }: Toys, count: number): Promise<void> {
  for (let n = 0; n < count; n += BATCH) {
    await transaction(sql, async (tx) => {
      for (let i = n; i < Math.min(n + BATCH, count); i++)
        await publish(tx, Moved, { toyId: keyOf(i), n: i, text: TEXT });
    });
  }
}

function untilDrained({ sql }: Place): Promise<void> {
  return untilTrue(
    async () => (await sql`SELECT 1 FROM outbox WHERE published_at IS NULL LIMIT 1`).length === 0,
  );
}

/** Publishing with a transaction each, beside a bare row with a transaction each. */
export async function measurePublish(place: Place, count: number): Promise<Measured> {
  const { sql } = place;
  const contract = contractOf(place);
  await sql`CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payload bytea NOT NULL)`;
  const payload = Buffer.from(TEXT);
  const insert = () => sql`INSERT INTO bare (payload) VALUES (${payload})`;
  const insertIn = (tx: Queries) => tx`INSERT INTO bare (payload) VALUES (${payload})`;
  return {
    [FIGURES.inserts]: await rate(count, AT_ONCE, insert),
    [FIGURES.transactionsAlone]: await rate(Math.ceil(count / 4), 1, () => sql.begin(insertIn)),
    [FIGURES.publish]: await rate(count, AT_ONCE, (n) =>
      transaction(sql, (tx) => publish(tx, contract.Moved, { toyId: keyOf(n), n, text: TEXT })),
    ),
  };
}

/** JetStream by the same client, without anything of ours. */
export async function measureRaw({ nats, replicas }: Place, count: number): Promise<Measured> {
  const { connection } = await nats.online(never);
  const manager = await jetstreamManager(connection);
  const name = `RAW${Date.now()}`;
  await manager.streams.add({ name, subjects: [name], storage: StorageType.File, num_replicas: replicas });
  const js = jetstream(connection);
  const send = (n: number) => js.publish(name, TEXT, { msgID: String(n) });
  const pipelined = await rate(count, PIPELINED, send);
  const single = await rate(Math.ceil(count / 10), 1, (n) => send(count + n));
  const { state } = await manager.streams.info(name);
  await manager.consumers.add(name, { durable_name: "raw", ack_policy: AckPolicy.Explicit });
  const consumer = await js.consumers.get(name, "raw");
  const beganMs = performance.now();
  let handled = 0;
  for await (const message of await consumer.consume({ max_messages: 512 })) {
    message.ack();
    if (++handled >= state.messages) break;
  }
  await connection.flush();
  return {
    [FIGURES.rawPublish]: pipelined,
    "JetStream: publish, one at a time": single,
    "JetStream: consume and acknowledge": (handled * 1_000) / (performance.now() - beganMs),
  };
}

/** How fast an outbox that is full is emptied. */
export async function measureRelay(place: Place, count: number): Promise<Measured> {
  const contract = contractOf(place);
  await fill(place, contract, count);
  const beganMs = performance.now();
  const relay = relayOf(place, contract);
  await untilDrained(place);
  const perSecond = (count * 1_000) / (performance.now() - beganMs);
  await relay.stop();
  return { [FIGURES.relay]: perSecond };
}

/** How messages are handled: so many at a time, or so many in a transaction. */
interface Manner {
  readonly name: string;
  readonly concurrency?: number;
  readonly batch?: number;
}

const MANNERS: readonly Manner[] = [
  { name: "1 at a time", concurrency: 1 },
  { name: `${AT_ONCE} at a time`, concurrency: AT_ONCE },
  { name: `batches of ${TOGETHER}`, batch: TOGETHER },
];

/** How fast a stream that is full is handled, with a handler that does nothing. */
export async function measureConsumers(place: Place, count: number): Promise<Measured> {
  const measured: Record<string, number> = {};
  for (const [mode, ordering] of Object.entries(MODES)) {
    for (const { name, ...manner } of MANNERS) {
      const all = manner.concurrency === 1 ? Math.ceil(count / 4) : count;
      measured[`Weft: ${mode}, ${name}`] = await consumeAll(place, contractOf(place, ordering), manner, all);
    }
  }
  return measured;
}

/** Handles a stream that is full. Resolves with how many messages a second. */
async function consumeAll(
  place: Place,
  contract: Toys,
  manner: Omit<Manner, "name">,
  count: number,
): Promise<number> {
  await fill(place, contract, count);
  const relay = relayOf(place, contract);
  await untilDrained(place);
  await relay.stop();
  let handled = 0;
  let beganMs = 0;
  const consumer = consumerOf(place, contract, manner, async (tx) => {
    beganMs ||= performance.now();
    tx.afterCommit(() => handled++);
  });
  await untilTrue(() => handled >= count);
  const perSecond = (count * 1_000) / (performance.now() - beganMs);
  await consumer.stop();
  return perSecond;
}

function consumerOf(
  place: Place,
  { Moved, service, subscription }: Toys,
  manner: Omit<Manner, "name">,
  handle: (tx: Tx, event: { readonly n: number }) => Promise<void>,
) {
  return consume({
    ...place,
    service,
    subscription,
    handlers: [on(Moved, handle)],
    ...manner,
    log: silentLog,
  });
}

/**
 * The whole way, first as fast as it goes, then at half of that, and at a rate that is the same everywhere, for which the
 * time from commit to commit is told.
 */
export async function measureWay(place: Place, count: number): Promise<Measured> {
  const { sql } = place;
  const contract = contractOf(place);
  const relay = relayOf(place, contract);
  const begun = new Map<number, number>();
  let took: number[] = [];
  const consumer = consumerOf(place, contract, { concurrency: AT_ONCE }, async (tx, { n }) => {
    tx.afterCommit(() => void took.push(performance.now() - (begun.get(n) ?? Number.NaN)));
  });
  const send = async (n: number) => {
    await transaction(sql, (tx) => publish(tx, contract.Moved, { toyId: keyOf(n), n, text: TEXT }));
    begun.set(n, performance.now());
  };
  let sent = 0;
  /** Sends so many, at most so many a second. Resolves with the sorted times that they took. */
  const sendAll = async (all: number, perSecond = Number.POSITIVE_INFINITY) => {
    const first = sent;
    sent += all;
    took = [];
    const startMs = performance.now();
    await rate(all, PUBLISHERS, async (n) => {
      const waitMs = startMs + (n * 1_000) / perSecond - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      await send(first + n);
    });
    await untilTrue(() => took.length >= all);
    // Handled before its publisher knew that it had committed: no time at all.
    return took.map((ms) => (Number.isNaN(ms) ? 0 : ms)).toSorted((a, b) => a - b);
  };
  const beganMs = performance.now();
  await sendAll(count);
  const perSecond = (count * 1_000) / (performance.now() - beganMs);
  const busy = await sendAll(count, perSecond / 2);
  const steady = await sendAll(Math.ceil(count / STEADY_SHARE), STEADY_PER_SECOND);
  await consumer.stop();
  await relay.stop();
  return {
    [FIGURES.way]: perSecond,
    "Weft: end to end, p50 ms at half of that": quantile(busy, 0.5),
    "Weft: end to end, p99 ms at half of that": quantile(busy, 0.99),
    [FIGURES.steadyP50]: quantile(steady, 0.5),
    [FIGURES.steadyP99]: quantile(steady, 0.99),
  };
}
