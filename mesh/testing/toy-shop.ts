import { type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { headers as natsHeaders } from "@nats-io/nats-core";
import { streamContract } from "../contract/event.ts";
import { silentLog } from "../core/log.ts";
import type { Running } from "../core/process.ts";
import { type ConsumeOptions, consume } from "../events/consume.ts";
import { on } from "../events/handlers.ts";
import { publish } from "../events/publish.ts";
import { type Relay, type RelayOptions, startRelay } from "../events/relay.ts";
import { DEAD_LETTERS, eventStream, type StreamPlan } from "../events/streams.ts";
import { type Nats, openNats } from "../nats/connection.ts";
import type { Sql } from "../store/connect.ts";
import { type Tx, transaction } from "../store/transaction.ts";
import { atEnd } from "./at-end.ts";
import { testBroker } from "./broker.ts";
import { meshDatabase } from "./mesh-database.ts";
import { type Toys, toys } from "./toys.ts";
import { until } from "./until.ts";

/** What a test's handler does beside recording the effect. */
export type ToyHandle = (
  tx: Tx,
  event: { readonly toyId: string; readonly n: number },
  meta: { readonly attempt: number; readonly eventId: string },
) => Promise<void>;

/** A message as it stands in a stream. */
export interface StoredMessage {
  readonly seq: number;
  readonly subject: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly data: Uint8Array;
}

/** A service that publishes events about toys and consumes them, with a database of its own. */
export interface ToyShop {
  readonly contract: Toys;
  readonly sql: Sql;
  readonly databaseUrl: string;
  readonly nats: Nats;
  /** Publishes the next event of a key, in a transaction of its own. */
  move(key: string, n: number, text?: string): Promise<void>;
  /** The stream of the toys. */
  readonly plan: StreamPlan;
  /** Carries the outbox of the toys, or of another stream, to the broker. */
  relay(stream?: StreamPlan, options?: Partial<RelayOptions>): Relay;
  /** Subscribes; each event that is handled leaves a row in the table `effect`. */
  consume(handle?: ToyHandle, options?: Partial<ConsumeOptions>): Running;
  /** Puts a message into the toys' stream as it is. */
  send(subject: string, headers: Readonly<Record<string, string>>, data: Uint8Array): Promise<void>;
  /** What was handled, in the order in which it became durable within each key. */
  effects(key: string): Promise<number[]>;
  /** Resolves when as many effects are there. */
  untilEffects(count: number): Promise<void>;
  /** Resolves when the broker waits for no answer and has nothing to deliver. */
  untilConsumed(): Promise<void>;
  /** All messages of a stream, by their sequence. */
  stored(stream: string, subject?: string): Promise<StoredMessage[]>;
  /** The dead letters of this shop, when there are as many. */
  deadLetters(count: number): Promise<StoredMessage[]>;
  manager(): Promise<JetStreamManager>;
}

const never = new AbortController().signal;

/** Opens a shop for the present test. Without `relay` and `consume` nothing moves in it. */
export async function toyShop(subscription: Parameters<typeof toys>[0] = {}): Promise<ToyShop> {
  const contract = toys(subscription);
  const { url: databaseUrl, sql } = await meshDatabase(12);
  const { url } = await testBroker();
  const nats = openNats({ url, name: contract.aggregate, log: silentLog });
  atEnd(() => nats.close());
  await sql`
    CREATE TABLE effect (id bigint GENERATED ALWAYS AS IDENTITY, key text, n int, event_id uuid)`;

  const manager = async () =>
    jetstreamManager((await nats.online(never)).connection, { checkAPI: false, timeout: 20_000 });
  const plan = eventStream(streamContract(contract.Moved));

  async function stored(stream: string, subject = ">"): Promise<StoredMessage[]> {
    const { streams } = await manager();
    const { state } = await streams.info(stream);
    const found: StoredMessage[] = [];
    for (let seq = Math.max(state.first_seq, 1); seq <= state.last_seq; seq++) {
      const message = await streams.getMessage(stream, { seq });
      if (!message || (subject !== ">" && !message.subject.startsWith(subject))) continue;
      const headers = Object.fromEntries(
        message.header.keys().map((name) => [name, message.header.get(name)]),
      );
      found.push({ seq, subject: message.subject, headers, data: message.data });
    }
    return found;
  }

  return {
    contract,
    sql,
    databaseUrl,
    nats,
    plan,
    manager,
    stored,
    move: (key, n, text = "") =>
      transaction(sql, (tx) => publish(tx, contract.Moved, { toyId: key, n, text })),
    relay(stream = plan, options = {}) {
      const relay = startRelay({ sql, databaseUrl, nats, stream, log: silentLog, ...options });
      atEnd(() => relay.stop());
      return relay;
    },
    consume(handle = async () => {}, options = {}) {
      const moved = on(contract.Moved, async (tx, event, meta) => {
        await tx`INSERT INTO effect (key, n, event_id) VALUES (${event.toyId}, ${event.n}, ${meta.eventId})`;
        await handle(tx, event, meta);
      });
      const running = consume({
        sql,
        nats,
        service: contract.service,
        subscription: contract.subscription,
        handlers: [moved],
        retryDelaysMs: [1],
        log: silentLog,
        ...options,
      });
      atEnd(() => running.stop());
      return running;
    },
    async send(subject, headers, data) {
      const { connection } = await nats.online(never);
      const all = natsHeaders();
      for (const [name, value] of Object.entries(headers)) all.set(name, value);
      await jetstream(connection).publish(subject, data, { headers: all });
    },
    async effects(key) {
      const rows = await sql<{ n: number }[]>`SELECT n FROM effect WHERE key = ${key} ORDER BY id`;
      return rows.map(({ n }) => n);
    },
    async untilEffects(count) {
      await until(async () => {
        const [row] = await sql<{ count: number }[]>`SELECT count(*) AS count FROM effect`;
        return (row?.count ?? 0) >= count;
      });
    },
    async untilConsumed() {
      const { consumers } = await manager();
      await until(async () => {
        const info = await consumers.info(contract.stream, contract.consumer).catch(() => undefined);
        return info && info.num_ack_pending === 0 && info.num_pending === 0;
      });
    },
    async deadLetters(count) {
      return until(async () => {
        const found = await stored(DEAD_LETTERS.name, `dlq.${contract.aggregate}.`).catch(() => []);
        return found.length >= count && found;
      });
    },
  };
}
