import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { type Clock, systemClock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import type { Running } from "../core/process.ts";
import { raceSignal } from "../core/race.ts";
import type { Nats, Online } from "../nats/connection.ts";
import type { Sql } from "../store/connect.ts";
import { leading } from "../store/leader.ts";
import { type Meter, noMetrics } from "../telemetry/metrics.ts";
import type { StartSpan } from "../telemetry/spans.ts";
import { auditBroker } from "./broker-loss.ts";
import { outboxChanges } from "./publish.ts";
import { type PendingRow, type PublishRows, publisherOf } from "./publish-rows.ts";
import { openPublisher } from "./publisher.ts";
import { ensureStream, growStream, type StreamPlan } from "./streams.ts";

/** What the relay of one stream needs. */
export interface RelayOptions {
  readonly sql: Sql;
  readonly databaseUrl: string;
  readonly nats: Nats;
  readonly stream: StreamPlan;
  /** The `ce-source` of messages that name none: a command has many senders. */
  readonly source?: string;
  /** How often the broker is asked, beside at each connection, whether it has lost anything. Milliseconds. Defaults to 60,000. */
  readonly auditEveryMs?: number;
  /** Finds out what the broker has lost. Defaults to {@link auditBroker}. */
  readonly audit?: typeof auditBroker;
  /** How long the broker may say nothing while events are on their way. Milliseconds. Defaults to 5,000. */
  readonly publishTimeoutMs?: number;
  readonly log: Log;
  /** Defaults to one that measures nothing. */
  readonly meter?: Meter;
  /** Records each message that is sent. Defaults to none. */
  readonly startSpan?: StartSpan | undefined;
  readonly clock?: Clock;
}

/** A relay that runs. */
export interface Relay extends Running {
  /** True while this process is the one that publishes the stream. */
  leads(): boolean;
}

const BATCH = 512;
const AUDIT_EVERY_MS = 60_000;
const POLL_MS = { busy: 20, idle: 1_000 };
const BACKOFF_MS = { first: 50, most: 2_000 };

/**
 * Carries the outbox of one stream to the broker: each committed row at least once, the rows of a key in their order.
 * One process leads, the others stand by. What the broker refuses for good is quarantined with its key; the other keys
 * go on. What the broker had stored and has lost is published again.
 */
export function startRelay(options: RelayOptions): Relay {
  const { log, stream, meter = noMetrics, clock = systemClock } = options;
  const stopping = new AbortController();
  let isLeading = false;
  const leader = { databaseUrl: options.databaseUrl, role: `relay ${stream.name}`, log, clock };
  const running = leading(leader, stopping.signal, async (signal) => {
    isLeading = true;
    await relay({ ...options, meter, clock }, signal).finally(() => {
      isLeading = false;
    });
  });
  const attributes = { stream: stream.name };
  const endGauge = meter.gauge("mesh.outbox.leader", () => [{ value: isLeading ? 1 : 0, attributes }]);
  return {
    leads: () => isLeading,
    async stop() {
      stopping.abort();
      await running;
      endGauge();
    },
  };
}

type FilledOptions = RelayOptions & { readonly meter: Meter; readonly clock: Clock };

async function relay(options: FilledOptions, signal: AbortSignal): Promise<void> {
  const { nats, stream, log, clock } = options;
  let grownOn: Online | undefined;
  const provide = async (manager: JetStreamManager, online: Online) => {
    const leastReplicas = online.replicas;
    // What it lacks is asked for once on each connection, not whenever something fails.
    if (stream.isShared || grownOn === online) await ensureStream(manager, stream, leastReplicas);
    else await growStream(manager, stream, { leastReplicas, log });
    grownOn = online;
  };
  let failures = 0;
  while (!signal.aborted) {
    try {
      const online = await nats.online(signal);
      const both = AbortSignal.any([signal, online.lost]);
      const manager = await jetstreamManager(online.connection, { checkAPI: false });
      // The client leaves a request on a lost connection to its timeout.
      await raceSignal(provide(manager, online), both);
      await drain(options, online, manager, both, () => {
        failures = 0;
      });
    } catch (error) {
      if (signal.aborted) return;
      failures++;
      const backoffMs =
        Math.min(BACKOFF_MS.first * 2 ** failures, BACKOFF_MS.most) * (0.5 + Math.random() / 2);
      log.warn({ stream: stream.name, error: messageOf(error) }, "the relay tries again");
      await clock.sleep(backoffMs, signal);
    }
  }
}

/**
 * Publishes what is pending, for as long as this connection stands, and audits the broker: before all else, because what
 * it has lost comes before what is new, and from time to time. While a full batch is on its way the next one is read. Says
 * each time that all went well.
 */
async function drain(
  options: FilledOptions,
  online: Online,
  manager: JetStreamManager,
  signal: AbortSignal,
  wentWell: () => void,
): Promise<void> {
  const { sql, stream, clock, audit = auditBroker, auditEveryMs = AUDIT_EVERY_MS } = options;
  const publisher = openPublisher(online);
  let publishRows: PublishRows = async () => ({ recorded });
  let auditAtMs = Number.NEGATIVE_INFINITY;
  let idleMs = POLL_MS.busy;
  let recorded: Promise<void> = Promise.resolve();
  let ahead: Promise<PendingRow[]> | undefined;
  try {
    while (!signal.aborted) {
      if (clock.now() >= auditAtMs) {
        // It looks at what is written down, and may change what is pending.
        await Promise.all([recorded, ahead]);
        ahead = undefined;
        const { lastSeq } = await audit({ ...options, manager }, signal);
        publishRows = publisherOf({ ...options, stream: stream.name, publisher, lastSeq });
        auditAtMs = clock.now() + auditEveryMs;
      }
      const changed = outboxChanges.next([stream.name], idleMs, signal, clock);
      const rows = await (ahead ?? recorded.then(() => pendingRows(sql, stream.name)));
      ahead = undefined;
      if (rows.length === 0) {
        wentWell();
        await changed;
        idleMs = Math.min(idleMs * 2, POLL_MS.idle);
        continue;
      }
      idleMs = POLL_MS.busy;
      if (rows.length === BATCH) {
        ahead = recorded.then(() => pendingRows(sql, stream.name, rows));
        // Of no interest if these rows fail.
        ahead.catch(() => {});
      }
      ({ recorded } = await publishRows(rows));
      wentWell();
    }
  } finally {
    await Promise.allSettled([recorded, ahead]);
    publisher.close();
  }
}

/**
 * The oldest rows that wait, without those that are on their way, and without those whose key is stopped by a quarantined
 * one. Ordered by stream and id, though there is one stream only: by id alone, PostgreSQL may read its way through all
 * that is kept as published.
 */
function pendingRows(
  sql: Sql,
  stream: string,
  onTheirWay: readonly PendingRow[] = [],
): Promise<PendingRow[]> {
  return sql<PendingRow[]>`
    SELECT o.id, o.event_id, o.subject, o.key, o.key_seq, o.headers, o.payload, o.created_at, o.attempts,
           prev.stream_seq AS prev_seq
    FROM outbox o
    LEFT JOIN outbox prev ON prev.stream = o.stream AND prev.key = o.key AND prev.key_seq = o.key_seq - 1
    WHERE o.stream BETWEEN ${stream} AND ${stream} AND o.published_at IS NULL AND o.failed_at IS NULL
      AND o.id NOT IN (SELECT unnest(${onTheirWay.map(({ id }) => id)}::bigint[]))
      AND NOT EXISTS (SELECT 1 FROM outbox f WHERE f.stream = o.stream AND f.key = o.key
                        AND f.failed_at IS NOT NULL AND f.id < o.id)
    ORDER BY o.stream, o.id LIMIT ${BATCH}`;
}
