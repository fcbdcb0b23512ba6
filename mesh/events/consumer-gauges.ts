import { type ConsumerInfo, type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import type { Clock } from "../core/clock.ts";
import type { Running } from "../core/process.ts";
import { raceSignal } from "../core/race.ts";
import type { Nats } from "../nats/connection.ts";
import type { Sql } from "../store/connect.ts";
import type { GaugeName } from "../telemetry/instruments.ts";
import type { Meter } from "../telemetry/metrics.ts";

/** Which consumer is asked about. */
export interface ConsumerGaugesOptions {
  readonly nats: Nats;
  readonly sql: Sql;
  readonly stream: string;
  readonly consumer: string;
  readonly meter: Meter;
  readonly clock: Clock;
}

// Asking for it more often costs the broker more than it tells; what is not there yet is looked for sooner.
const POLL_MS = { known: 15_000, unknown: 1_000 };

type Polled = Extract<
  GaugeName,
  | "mesh.consumer.pending"
  | "mesh.consumer.ack_pending"
  | "mesh.consumer.redelivered"
  | "mesh.inbox.parked_keys"
  | "mesh.replica.lag"
>;

/** Shows what only the broker and the database know of a consumer: asked every 15 s, and left out while they are away. */
export function showConsumerGauges(options: ConsumerGaugesOptions): Running {
  const { nats, sql, stream, consumer, meter, clock } = options;
  const stopping = new AbortController();
  const values = new Map<Polled, number>();
  const names: readonly Polled[] = [
    "mesh.consumer.pending",
    "mesh.consumer.ack_pending",
    "mesh.consumer.redelivered",
    "mesh.inbox.parked_keys",
    "mesh.replica.lag",
  ];
  const attributes = { consumer };
  const endGauges = names.map((name) =>
    meter.gauge(name, () => {
      const value = values.get(name);
      return value === undefined ? [] : [{ value, attributes }];
    }),
  );
  const running = run();

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await Promise.all([ask(readBroker), ask(readDatabase)]);
      await clock.sleep(values.size === names.length ? POLL_MS.known : POLL_MS.unknown, stopping.signal);
    }
  }

  /** Notes what is answered; what is not is known no more. */
  async function ask(read: () => Promise<ReadonlyMap<Polled, number | undefined>>): Promise<void> {
    const answers = await read().catch(() => new Map<Polled, undefined>());
    for (const [name, value] of answers) {
      if (value === undefined) values.delete(name);
      else values.set(name, value);
    }
  }

  async function readBroker() {
    const { connection, lost } = await nats.online(stopping.signal);
    const manager = await jetstreamManager(connection, { checkAPI: false });
    const info = await raceSignal(manager.consumers.info(stream, consumer), lost).catch(() => undefined);
    const lagMs = info && (await raceSignal(lagOf(manager, info), lost).catch(() => undefined));
    return new Map<Polled, number | undefined>([
      ["mesh.consumer.pending", info?.num_pending],
      ["mesh.consumer.ack_pending", info?.num_ack_pending],
      ["mesh.consumer.redelivered", info?.num_redelivered],
      ["mesh.replica.lag", lagMs === undefined ? undefined : lagMs / 1_000],
    ]);
  }

  /**
   * How old the oldest message is that the consumer has not answered. Nothing is old while there is none, however long
   * ago the last one was: what the consumer feeds is up to date then. Undefined if it cannot be told now.
   */
  async function lagOf({ streams }: JetStreamManager, info: ConsumerInfo): Promise<number | undefined> {
    if (info.num_pending + info.num_ack_pending === 0) return 0;
    const { state } = await streams.info(stream);
    const seq = Math.max(info.ack_floor.stream_seq + 1, state.first_seq);
    const oldest = await streams.getMessage(stream, { seq });
    return oldest ? Math.max(clock.date().getTime() - oldest.time.getTime(), 0) : undefined;
  }

  async function readDatabase() {
    const [row] = await sql<{ count: number }[]>`
      SELECT count(*) AS count FROM inbox_cursor WHERE consumer = ${consumer} AND parked_until > last_seq`;
    return new Map<Polled, number | undefined>([["mesh.inbox.parked_keys", row?.count]]);
  }

  return {
    async stop() {
      stopping.abort();
      await running;
      for (const end of endGauges) end();
    },
  };
}
