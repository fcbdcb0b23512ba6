import { AckPolicy, jetstream, jetstreamManager, StorageType } from "@nats-io/jetstream";
import { Ordering } from "../../gen/mesh/event/v1/event_pb.ts";
import { streamContract } from "../../mesh/contract/event.ts";
import { silentLog } from "../../mesh/core/log.ts";
import { consume } from "../../mesh/events/consume.ts";
import { on } from "../../mesh/events/handlers.ts";
import { publish } from "../../mesh/events/publish.ts";
import { startRelay } from "../../mesh/events/relay.ts";
import { eventStream } from "../../mesh/events/streams.ts";
import { transaction } from "../../mesh/store/transaction.ts";
import { type Toys, toys } from "../../mesh/testing/toys.ts";
import { quantile } from "../calls/statistics.ts";
import type { Place } from "./place.ts";

/** What was measured: figures by their name, each with its unit in it. */
export type Measured = Readonly<Record<string, number>>;

/** The content of each event, about as long as an order's. */
export const TEXT = "x".repeat(300);
const KEYS = 1_000;
const BATCH = 500;
const POLL_MS = 5;
const AT_ONCE = 16;
const PIPELINED = 256;
const MODES = { NONE: Ordering.NONE, LATEST: Ordering.LATEST, STRICT: Ordering.STRICT } as const;
const never = new AbortController().signal;

const keyOf = (n: number) => `key-${n % KEYS}`;
const roomy = (ordering: Ordering = Ordering.STRICT) => toys({ ordering }, { maxBytes: 2 ** 28 });

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
  const contract = roomy();
  await sql`CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payload bytea NOT NULL)`;
  const payload = Buffer.from(TEXT);
  return {
    "PostgreSQL: bare inserts": await rate(
      count,
      AT_ONCE,
      () => sql`INSERT INTO bare (payload) VALUES (${payload})`,
    ),
    "Weft: publish in a transaction": await rate(count, AT_ONCE, (n) =>
      transaction(sql, (tx) => publish(tx, contract.Moved, { toyId: keyOf(n), n, text: TEXT })),
    ),
  };
}

/** JetStream by the same client, without anything of ours. */
export async function measureRaw({ nats }: Place, count: number): Promise<Measured> {
  const { connection } = await nats.online(never);
  const manager = await jetstreamManager(connection);
  const name = `RAW${Date.now()}`;
  await manager.streams.add({ name, subjects: [name], storage: StorageType.File });
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
    "JetStream: publish, 256 in flight": pipelined,
    "JetStream: publish, one at a time": single,
    "JetStream: consume and acknowledge": (handled * 1_000) / (performance.now() - beganMs),
  };
}

/** How fast an outbox that is full is emptied. */
export async function measureRelay(place: Place, count: number): Promise<Measured> {
  const contract = roomy();
  await fill(place, contract, count);
  const beganMs = performance.now();
  const relay = relayOf(place, contract);
  await untilDrained(place);
  const perSecond = (count * 1_000) / (performance.now() - beganMs);
  await relay.stop();
  return { "Weft: relay drains the outbox": perSecond };
}

/** How fast a stream that is full is handled, with a handler that does nothing, in a transaction each. */
export async function measureConsumers(place: Place, count: number): Promise<Measured> {
  const measured: Record<string, number> = {};
  for (const [mode, ordering] of Object.entries(MODES)) {
    for (const concurrency of [1, AT_ONCE]) {
      const contract = roomy(ordering);
      const all = concurrency === 1 ? Math.ceil(count / 4) : count;
      await fill(place, contract, all);
      const relay = relayOf(place, contract);
      await untilDrained(place);
      await relay.stop();
      let handled = 0;
      let beganMs = 0;
      const handler = on(contract.Moved, async (tx) => {
        beganMs ||= performance.now();
        tx.afterCommit(() => handled++);
      });
      const consumer = consume({
        ...place,
        service: contract.service,
        subscription: contract.subscription,
        handlers: [handler],
        concurrency,
        log: silentLog,
      });
      await untilTrue(() => handled >= all);
      measured[`Weft: ${mode}, ${concurrency} at a time`] = (all * 1_000) / (performance.now() - beganMs);
      await consumer.stop();
    }
  }
  return measured;
}

/** The whole way, first as fast as it goes, then at half of that, for which the time from commit to commit is told. */
export async function measureWay(place: Place, count: number): Promise<Measured> {
  const { sql } = place;
  const contract = roomy();
  const relay = relayOf(place, contract);
  const begun = new Map<number, number>();
  const took: number[] = [];
  const handler = on(contract.Moved, async (tx, { n }) => {
    tx.afterCommit(() => void took.push(performance.now() - (begun.get(n) ?? Number.NaN)));
  });
  const consumer = consume({
    ...place,
    service: contract.service,
    subscription: contract.subscription,
    handlers: [handler],
    concurrency: AT_ONCE,
    log: silentLog,
  });
  const send = async (n: number) => {
    await transaction(sql, (tx) => publish(tx, contract.Moved, { toyId: keyOf(n), n, text: TEXT }));
    begun.set(n, performance.now());
  };
  const beganMs = performance.now();
  await rate(count, 8, send);
  await untilTrue(() => took.length >= count);
  const perSecond = (count * 1_000) / (performance.now() - beganMs);

  took.length = 0;
  const halfMs = 2_000 / perSecond;
  const startMs = performance.now();
  await rate(count, 8, async (n) => {
    const waitMs = startMs + n * halfMs - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    await send(count + n);
  });
  await untilTrue(() => took.length >= count);
  await consumer.stop();
  await relay.stop();
  // Handled before its publisher knew that it had committed: no time at all.
  const sorted = took.map((ms) => (Number.isNaN(ms) ? 0 : ms)).toSorted((a, b) => a - b);
  return {
    "Weft: end to end, STRICT": perSecond,
    "Weft: p50 ms at half of that": quantile(sorted, 0.5),
    "Weft: p99 ms at half of that": quantile(sorted, 0.99),
  };
}
